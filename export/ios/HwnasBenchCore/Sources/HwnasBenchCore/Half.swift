import Foundation

/// IEEE 754 half precision by its bits: Swift's own Float16 needs iOS 14.
enum Half {
    /// The nearest half of a number, ties to even; infinite beyond its range.
    static func bits(of value: Double) -> UInt16 {
        let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
        let size = value.magnitude
        if size.isNaN { return 0x7E00 }
        if size >= 65520 { return sign | 0x7C00 }
        if size < 0x1p-14 {
            // Carries into the exponent where it rounds up to the smallest normal number.
            return sign | UInt16((size * 0x1p24).rounded(.toNearestOrEven))
        }
        let exponent = Int(size.exponent)
        let steps = (size / exp2(Double(exponent)) * 1024).rounded(.toNearestOrEven)
        return sign | UInt16((exponent + 14) * 1024 + Int(steps))
    }

    /// The number that the bits stand for.
    static func value(of bits: UInt16) -> Double {
        let sign: Double = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10 & 0x1F)
        let fraction = Double(bits & 0x3FF)
        switch exponent {
        case 0: return sign * fraction * 0x1p-24
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * (1024 + fraction) * exp2(Double(exponent - 25))
        }
    }
}
