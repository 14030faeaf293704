import XCTest

@testable import HwnasBenchCore

final class DocumentTests: FolderTests {
    private func message(_ manifest: String) -> String {
        do {
            _ = try Manifest.read(Data(manifest.utf8))
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func changed(_ old: String, _ new: String) throws -> String {
        let text = String(decoding: try Fixtures.data("bundle/manifest.json"), as: UTF8.self)
        XCTAssertTrue(text.contains(old))
        return text.replacingOccurrences(of: old, with: new)
    }

    func testAManifestIsRead() throws {
        let manifest = try Manifest.read(try Fixtures.data("bundle/manifest.json"))
        XCTAssertEqual(manifest.bundle, "f1c7a5e0")
        XCTAssertEqual(manifest.setup.computeUnits, "cpu")
        XCTAssertEqual(manifest.timing.warmUpS, 0.05)
        XCTAssertEqual(manifest.panel, ["part", "reference"])
        XCTAssertEqual(manifest.jobs.map { $0.number }, [0, 1, 7])
        XCTAssertEqual(manifest.models["reference"]!.output.count, 100)
        XCTAssertEqual(manifest.models["reference"]!.expected.count, 64)
    }

    func testWhatIsWrongWithAManifestIsOneLine() throws {
        XCTAssertEqual(message("{"), "manifest.json is no manifest of hwnas: copy the bundle again")
        XCTAssertEqual(
            message(#"{"schema": "hwnas-manifest/2"}"#),
            "manifest.json is of hwnas-manifest/2, but this app reads hwnas-manifest/1: "
                + "build the app of the hwnas that wrote the bundle"
        )
        XCTAssertEqual(
            message(try changed(#""warm_up_s""#, #""warmth""#)),
            "manifest.json is not complete (no warm_up_s): copy the bundle again")
        XCTAssertEqual(
            message(try changed("0.05", #""long""#)),
            "manifest.json is not complete (wrong protocol.warm_up_s): copy the bundle again")
        XCTAssertEqual(
            message(try changed(#""runtime": "coreml""#, #""runtime": "tflite""#)),
            "this bundle is for tflite; the app runs coreml only")
        XCTAssertEqual(
            message(try changed(#""panel": ["#, #""panel": ["lost","#)),
            "manifest.json names no model lost: copy the bundle again")
        XCTAssertEqual(
            message(try changed(#""number": 7"#, #""number": 1"#)),
            "manifest.json has two jobs of one number: write it again")
    }

    func testBundlesAreFoundWithWhatIsWrongWithThem() throws {
        let manifest = String(decoding: try Fixtures.data("bundle/manifest.json"), as: UTF8.self)
        try write(manifest, "good/manifest.json")
        try write("{}", "bad/manifest.json")
        try write("a folder of something else", "other/readme.txt")
        try write("a file", "results.json")
        let found = BundleFolder.all(in: folder)
        XCTAssertEqual(found.map { $0.name }, ["bad", "good"])
        XCTAssertThrowsError(try found[0].bundle.get())
        let good = try found[1].bundle.get()
        XCTAssertEqual(good.results.lastPathComponent, "good-results.json")
        let part = good.manifest.models["part"]!
        XCTAssertEqual(good.file(of: part).lastPathComponent, "\(part.sha256).mlmodel")
    }
}

final class ResultsFileTests: FolderTests {
    private var url: URL { folder.appendingPathComponent("b-results.json") }

    private func empty(os: String = "iOS 12.5.7") throws -> Results {
        try Samples.empty(os: os)
    }

    private func job(_ number: Int) -> JobResult {
        JobResult(
            number: number, rounds: [[Sample(name: "part", milliseconds: 1.25)]],
            before: Conditions(), after: Conditions(), seconds: 2)
    }

    func testFinishedJobsOutliveTheApp() throws {
        let file = try ResultsFile(url: url, beginning: try empty())
        try file.add(["part": RanModel(sha256: "a", output: [1])])
        try file.add(job(0))
        try file.add(job(3))
        let again = try ResultsFile(url: url, beginning: try empty())
        XCTAssertNil(again.setAside)
        XCTAssertEqual(again.results, file.results)
        XCTAssertEqual([0, 1, 3].map(again.isDone), [true, false, true])
    }

    func testResultsOfAnotherSystemAreSetAsideAndKept() throws {
        let file = try ResultsFile(url: url, beginning: try empty())
        try file.add(job(0))
        let updated = try ResultsFile(url: url, beginning: try empty(os: "iOS 12.6"))
        XCTAssertEqual(updated.setAside, "b-results-old-1.json")
        XCTAssertTrue(updated.results.jobs.isEmpty)
        try updated.add(job(0))
        let back = try ResultsFile(url: url, beginning: try empty())
        XCTAssertEqual(back.setAside, "b-results-old-2.json")
        let old = folder.appendingPathComponent("b-results-old-1.json")
        XCTAssertEqual(ResultsFile.read(old), file.results)
    }

    func testAFileThatIsNoResultsIsSetAside() throws {
        try write("{\"jobs\": [", "b-results.json")
        let file = try ResultsFile(url: url, beginning: try empty())
        XCTAssertEqual(file.setAside, "b-results-old-1.json")
        XCTAssertTrue(file.results.jobs.isEmpty)
    }

    func testAJobThatCannotBeWrittenIsNotCountedAsDone() throws {
        let nowhere = folder.appendingPathComponent("gone/b-results.json")
        let file = try ResultsFile(url: nowhere, beginning: try empty())
        XCTAssertThrowsError(try file.add(job(0))) { error in
            XCTAssertTrue("\(error)".hasPrefix("b-results.json cannot be written"), "\(error)")
        }
        XCTAssertFalse(file.isDone(0))
    }

    func testASampleIsAPair() throws {
        let data = try JSONEncoder().encode(job(0).rounds)
        XCTAssertEqual(String(decoding: data, as: UTF8.self), #"[[["part",1.25]]]"#)
    }
}

/// Documents that several tests begin with.
enum Samples {
    static func empty(os: String = "iOS 12.5.7") throws -> Results {
        let manifest = try Manifest.read(try Fixtures.data("bundle/manifest.json"))
        return Results(
            bundle: manifest.bundle, setup: manifest.setup,
            device: DeviceFacts(
                model: "iPhone6,1", cpu: "Apple, family 0x37a09642", cores: 2, os: os,
                machine: "arm64", governor: "not readable"),
            runtime: RuntimeFacts(
                name: manifest.setup.runtime, version: "Core ML 1.0", harness: "ios 1"),
            models: [:], jobs: [])
    }
}
