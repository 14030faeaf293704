import Foundation

/// Where the values of an array lie in memory, which may have gaps.
struct Layout: Equatable {
    let shape: [Int]
    let strides: [Int]

    var count: Int { shape.reduce(1, *) }

    /// Whether values follow each other without gaps, the last axis fastest.
    var isPacked: Bool {
        var expected = 1
        for (size, stride) in zip(shape, strides).reversed() {
            if size > 1, stride != expected { return false }
            expected *= size
        }
        return true
    }

    /// The place in memory of the value that is at `index` when the last axis runs fastest.
    func offset(of index: Int) -> Int {
        var rest = index
        var offset = 0
        for (size, stride) in zip(shape, strides).reversed() {
            offset += rest % size * stride
            rest /= size
        }
        return offset
    }
}
