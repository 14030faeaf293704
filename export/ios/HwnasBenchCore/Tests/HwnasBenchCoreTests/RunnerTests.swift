import XCTest

@testable import HwnasBenchCore

final class RunnerTests: FolderTests {
    private let phone = FakePhone()
    private lazy var engine = FakeEngine(phone)
    private var lines: [String] = []
    private var last = RunProgress()
    private var stopsAfter = Int.max

    private var bundleURL: URL { folder.appendingPathComponent("bundle") }
    private var resultsURL: URL { folder.appendingPathComponent("bundle-results.json") }

    override func setUpWithError() throws {
        try super.setUpWithError()
        try FileManager.default.copyItem(
            at: Fixtures.folder.appendingPathComponent("bundle"), to: bundleURL)
    }

    /// Does what one start of the app does.
    private func start() throws {
        let bundle = try BundleFolder.read(bundleURL)
        let file = try ResultsFile(url: bundle.results, beginning: try Samples.empty())
        try Runner(
            bundle: bundle, engine: engine, surroundings: phone, file: file,
            isStopped: { self.engine.runs.count >= self.stopsAfter },
            report: { progress in
                self.last = progress
                self.lines.append(progress.line)
            }
        ).run()
    }

    private func results() throws -> Results {
        try XCTUnwrap(ResultsFile.read(resultsURL))
    }

    func testAWholeRunGivesTheDocumentThatPythonReads() throws {
        try start()
        if let target = ProcessInfo.processInfo.environment["HWNAS_WRITE_FIXTURE"] {
            try FileManager.default.copyItem(at: resultsURL, to: URL(fileURLWithPath: target))
        }
        let expected = ResultsFile.read(Fixtures.folder.appendingPathComponent("results.json"))
        XCTAssertEqual(try results(), expected)
        XCTAssertEqual(last.line, "all 3 jobs are done")
        XCTAssertEqual(last.jobsDone, 3)
        XCTAssertEqual(last.secondsLeft, 0)
    }

    func testEveryRoundHoldsPanelAndNetworksOnceInAnOrderOfItsOwn() throws {
        try start()
        let jobs = try results().jobs
        XCTAssertEqual(jobs.map { $0.rounds.count }, [3, 3, 2])
        let names = jobs[0].rounds.map { round in round.map { $0.name } }
        for round in names {
            XCTAssertEqual(round.sorted(), ["network-a", "network-b", "part", "reference"])
        }
        XCTAssertEqual(Set(names).count, 3)
        XCTAssertEqual(jobs[2].rounds[0].map { $0.name }.sorted(), ["part", "reference"])
    }

    func testEveryTimedRunFollowsAnUntimedOneOfTheSameModel() throws {
        try start()
        let timed = try results().jobs[2].rounds.flatMap { round in round.map { $0.name } }
        let tail = Array(engine.runs.suffix(timed.count * 2))
        XCTAssertEqual(tail, timed.flatMap { [$0, $0] })
    }

    func testModelsAreWarmedUpForAsLongAsTheManifestSays() throws {
        try start()
        // part and reference take 13 ms together, and are to run for 50 ms, twice at least.
        XCTAssertEqual(engine.runs.prefix(8).filter { $0 == "part" }.count, 4)
    }

    func testNetworksOfAJobAreDroppedWithIt() throws {
        try start()
        XCTAssertEqual(engine.mostAlive, 4)
        XCTAssertEqual(engine.alive, 0)
    }

    func testAKilledAppRepeatsNoFinishedJobAndLosesNone() throws {
        try start()
        let whole = try results()
        let runs = engine.runs.count
        try FileManager.default.removeItem(at: resultsURL)
        for stop in stride(from: 1, to: runs, by: 5) {
            engine.runs = []
            stopsAfter = stop
            XCTAssertThrowsError(try start()) { XCTAssertTrue($0 is Stopped) }
            let kept = try ResultsFile.read(resultsURL)?.jobs.map { $0.number } ?? []
            engine.runs = []
            stopsAfter = .max
            try start()
            XCTAssertEqual(try results().jobs.map { $0.number }, [0, 1, 7])
            XCTAssertEqual(try results().jobs.map { $0.rounds }, whole.jobs.map { $0.rounds })
            if kept.contains(0) { XCTAssertFalse(engine.runs.contains("network-a")) }
            try FileManager.default.removeItem(at: resultsURL)
        }
    }

    func testAFinishedBundleLoadsNothing() throws {
        try start()
        engine.runs = []
        try start()
        XCTAssertEqual(engine.runs, [])
        XCTAssertEqual(last.line, "all 3 jobs are done")
    }

    func testARoundThatWasInterruptedIsRepeated() throws {
        var count = 0
        engine.beforeRun = { name in
            if name == "network-a" { count += 1 }
            // In the second round, after two of warming up and two of the first.
            if name == "network-a", count == 8 { self.phone.interruptions += 1 }
        }
        try start()
        XCTAssertEqual(try results().jobs[0].rounds.count, 3)
        let timed = engine.runs.filter { $0 == "network-a" }.count
        phone.interruptions = 0
        engine.beforeRun = { _ in }
        engine.runs = []
        try FileManager.default.removeItem(at: resultsURL)
        try start()
        XCTAssertEqual(timed - engine.runs.filter { $0 == "network-a" }.count, 2)
    }

    func testAModelThatFailsBehindOtherAppsIsRunAgain() throws {
        var failed = false
        engine.beforeRun = { _ in
            guard self.last.line == "job 1, round 2 of 3", !failed else { return }
            failed = true
            self.phone.interruptions += 1
            throw BenchError("not in the background")
        }
        try start()
        XCTAssertTrue(failed)
        XCTAssertEqual(try results().jobs.map { $0.rounds.count }, [3, 3, 2])
    }

    func testAModelThatFailsEndsTheRunAndKeepsWhatIsDone() throws {
        engine.beforeRun = { name in
            if name == "network-c" { throw BenchError("out of memory") }
        }
        XCTAssertThrowsError(try start()) { XCTAssertEqual("\($0)", "out of memory") }
        XCTAssertEqual(try results().jobs.map { $0.number }, [0])
        XCTAssertEqual(engine.alive, 0)
    }

    func testTheRunWaitsUntilThePhoneIsReadyAndSaysWhy() throws {
        phone.obstacles = ["the phone is hot (serious)", "the phone is hot (serious)"]
        let before = phone.now
        try start()
        XCTAssertEqual(lines.filter { $0 == "waiting: the phone is hot (serious)" }.count, 2)
        // Two pauses of a second, and two of three between jobs.
        XCTAssertGreaterThan(phone.now - before, 8)
        XCTAssertEqual(lines.filter { $0 == "cooling down" }.count, 6)
    }

    func testAFileThatIsNotTheManifestsIsRefused() throws {
        let part = try BundleFolder.read(bundleURL).manifest.models["part"]!
        try write("model another", "bundle/models/\(part.sha256).mlmodel")
        XCTAssertThrowsError(try start()) { error in
            XCTAssertEqual(
                "\(error)",
                "part: \(part.sha256).mlmodel is not the file of the manifest: "
                    + "copy the bundle again")
        }
    }

    func testAModelThatComputesSomethingElseIsRefusedAndItsOutputKept() throws {
        engine.wrong["network-b"] = [Double](repeating: 0, count: 64)
        XCTAssertThrowsError(try start()) { error in
            XCTAssertEqual(
                "\(error)",
                "network-b gave another output than it should (off by 1, allowed 0.001): "
                    + "this phone does not run it right")
        }
        XCTAssertEqual(try results().models["network-b"]?.output, engine.wrong["network-b"])
        XCTAssertEqual(try results().jobs, [])
    }

    func testAnOutputThatIsNoNumberIsRefused() throws {
        engine.wrong["part"] = [Double](repeating: .nan, count: 7)
        XCTAssertThrowsError(try start()) { error in
            XCTAssertEqual(
                "\(error)",
                "part gave 7 values, not 7 finite ones: this phone does not run it right")
        }
    }

    func testAStopIsMetBetweenTwoRuns() throws {
        stopsAfter = 30
        XCTAssertThrowsError(try start()) { XCTAssertTrue($0 is Stopped) }
        XCTAssertLessThanOrEqual(engine.runs.count, 31)
    }
}
