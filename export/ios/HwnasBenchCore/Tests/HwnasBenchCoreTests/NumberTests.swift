import XCTest

@testable import HwnasBenchCore

/// Numbers beside those that Python and numpy give.
final class NumberTests: XCTestCase {
    func testTheProbeIsPythons() throws {
        let expected = try Fixtures.vectors().probe
        XCTAssertEqual(expected.indices.map(Probe.value(at:)), expected)
    }

    func testThePositionsArePythons() throws {
        for (count, positions) in try Fixtures.vectors().positions {
            XCTAssertEqual(Probe.compared(of: Int(count)!), positions)
        }
    }

    func testTheDistanceIsPythons() throws {
        let found = Probe.distance(expected: [1, 2, -2], seen: [1, 2.5, -2])
        XCTAssertEqual(found, try Fixtures.vectors().distance, accuracy: 1e-15)
        XCTAssertEqual(Probe.distance(expected: [1], seen: [1, 2]), .infinity)
        XCTAssertEqual(Probe.distance(expected: [0], seen: [0]), 0)
        XCTAssertEqual(Probe.distance(expected: [0], seen: [1]), .infinity)
    }

    func testHalvesAreNumpys() throws {
        let halves = try Fixtures.vectors().halves
        XCTAssertEqual(halves.values.map(Half.bits(of:)), halves.bits)
    }

    func testEveryHalfComesBack() {
        for bits in UInt16.min...UInt16.max {
            let value = Half.value(of: bits)
            if value.isNaN { continue }
            XCTAssertEqual(Half.bits(of: value), bits)
        }
    }

    func testAnArrayWithGapsIsReadInOrder() {
        let packed = Layout(shape: [1, 2, 3], strides: [6, 3, 1])
        XCTAssertTrue(packed.isPacked)
        XCTAssertEqual((0..<6).map(packed.offset(of:)), [0, 1, 2, 3, 4, 5])
        let gaps = Layout(shape: [2, 2, 3], strides: [64, 32, 1])
        XCTAssertFalse(gaps.isPacked)
        XCTAssertEqual((0..<12).map(gaps.offset(of:)), [0, 1, 2, 32, 33, 34, 64, 65, 66, 96, 97, 98])
        // What the stride of an axis of one value is does not matter.
        XCTAssertTrue(Layout(shape: [1, 4], strides: [32, 1]).isPacked)
    }

    func testMedians() {
        XCTAssertNil(median([]))
        XCTAssertEqual(median([3, 1, 2]), 2)
        XCTAssertEqual(median([4, 1, 2, 3]), 2.5)
    }

    func testAShuffleKeepsEverythingAndDiffersFromTheNext() {
        var order = SplitMix64(seed: 3)
        let names = (0..<50).map(String.init)
        let (first, second) = (names.shuffled(using: &order), names.shuffled(using: &order))
        XCTAssertEqual(Set(first), Set(names))
        XCTAssertNotEqual(first, second)
        var again = SplitMix64(seed: 3)
        XCTAssertEqual(names.shuffled(using: &again), first)
    }
}
