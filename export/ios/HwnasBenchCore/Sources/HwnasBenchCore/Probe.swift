import Foundation

/// The input that every device makes for itself, and the part of the output that is compared:
/// hwnas/bundle/probe.py in Swift.
enum Probe {
    static let positions = 64
    static let multiplier: UInt32 = 2_654_435_761

    /// h(i) = (i + 1) * multiplier mod 2^32
    static func hash(_ index: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: index + 1) &* multiplier
    }

    /// The input value at a place of a float tensor: exact, in [-1, 1).
    static func value(at index: Int) -> Double {
        Double(hash(index) >> 8) / 8_388_608 - 1
    }

    /// Which of `count` output values are compared.
    static func compared(of count: Int) -> [Int] {
        let compared = min(count, positions)
        return (0..<compared).map { $0 * count / compared }
    }

    /// The values of an output that are compared.
    static func sampled(_ output: [Double]) -> [Double] {
        compared(of: output.count).map { output[$0] }
    }

    /// How far two samples are apart, relative to the length of the expected one.
    static func distance(expected: [Double], seen: [Double]) -> Double {
        guard expected.count == seen.count else { return .infinity }
        let length = sqrt(expected.reduce(0) { $0 + $1 * $1 })
        let gap = sqrt(zip(expected, seen).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) })
        if length > 0 { return gap / length }
        return gap == 0 ? 0 : .infinity
    }
}
