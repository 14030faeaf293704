import Foundation
import XCTest

@testable import HwnasBenchCore

/// Files that tests/ios_fixtures.py wrote.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    static func data(_ name: String) throws -> Data {
        try Data(contentsOf: folder.appendingPathComponent(name))
    }

    static func vectors() throws -> Vectors {
        try JSONDecoder().decode(Vectors.self, from: try data("vectors.json"))
    }
}

struct Vectors: Decodable {
    struct Halves: Decodable {
        let values: [Double]
        let bits: [UInt16]
    }
    struct Folder: Decodable {
        let files: [String: String]
        let sha256: String
    }
    let probe: [Double]
    let positions: [String: [Int]]
    let distance: Double
    let halves: Halves
    let sha256: [String: String]
    let folder: Folder
}

/// A test with a folder of its own.
class FolderTests: XCTestCase {
    var folder = URL(fileURLWithPath: NSTemporaryDirectory())

    override func setUpWithError() throws {
        folder = URL(fileURLWithPath: NSTemporaryDirectory())
            .appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: folder)
    }

    func write(_ text: String, _ path: String) throws {
        let url = folder.appendingPathComponent(path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }
}

/// Runs the models of the fixture, which are texts "model NAME".
final class FakeEngine: Engine {
    let phone: FakePhone
    /// Names in the order of their runs.
    var runs: [String] = []
    /// How many models are in memory now, and how many were at most.
    var alive = 0
    var mostAlive = 0
    /// Output of a model, where it is not the right one.
    var wrong: [String: [Double]] = [:]
    /// Called before every run.
    var beforeRun: (String) throws -> Void = { _ in }

    init(_ phone: FakePhone) {
        self.phone = phone
    }

    func load(_ file: URL, _ facts: TimedModel) throws -> LoadedModel {
        let text = try String(contentsOf: file, encoding: .utf8)
        let name = String(text.dropFirst("model ".count))
        return FakeModel(name, wrong[name] ?? output(name, facts.output.count), self)
    }

    private func output(_ name: String, _ count: Int) -> [Double] {
        (0..<count).map { Probe.value(at: $0) * Double(name.count) }
    }
}

final class FakeModel: LoadedModel {
    private let name: String
    private let values: [Double]
    private let engine: FakeEngine

    init(_ name: String, _ values: [Double], _ engine: FakeEngine) {
        self.name = name
        self.values = values
        self.engine = engine
        engine.alive += 1
        engine.mostAlive = max(engine.mostAlive, engine.alive)
    }

    deinit {
        engine.alive -= 1
    }

    /// Takes as many milliseconds as the name has letters.
    func run() throws -> UInt64 {
        try engine.beforeRun(name)
        engine.runs.append(name)
        engine.phone.now += Double(name.count) / 1000
        return UInt64(name.count) * 1_000_000
    }

    func output() throws -> [Double] {
        values
    }
}

/// A phone whose clock goes only when something happens.
final class FakePhone: Surroundings {
    var obstacles: [String] = []
    var interruptions = 0
    var now = 1000.0
    var battery = 90.0

    /// The next obstacle, if one is left.
    var obstacle: String? { obstacles.isEmpty ? nil : obstacles.removeFirst() }

    func conditions() -> Conditions {
        battery -= 1
        return Conditions(
            thermalState: "nominal", throttled: false, batteryPercent: battery, charging: false)
    }

    func pause(_ seconds: Double) {
        now += seconds
    }
}
