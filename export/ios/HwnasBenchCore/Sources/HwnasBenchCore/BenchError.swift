import Foundation

/// Something that the person with the phone can mend: one line that says what, where and how.
struct BenchError: Error, Equatable, LocalizedError, CustomStringConvertible {
    let message: String

    init(_ message: String) {
        self.message = message
    }

    var description: String { message }
    var errorDescription: String? { message }
}
