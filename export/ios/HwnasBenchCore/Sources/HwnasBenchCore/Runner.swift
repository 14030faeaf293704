import Foundation

/// Thrown where a run was stopped by hand.
struct Stopped: Error, Equatable {}

/// Runs the jobs of a bundle by its protocol and keeps each when it is done.
final class Runner {
    private let bundle: BundleFolder
    private let engine: Engine
    private let surroundings: Surroundings
    private let file: ResultsFile
    private let report: (RunProgress) -> Void
    private let isStopped: () -> Bool

    private var progress = RunProgress()
    private var panel: [String: LoadedModel] = [:]

    init(
        bundle: BundleFolder,
        engine: Engine,
        surroundings: Surroundings,
        file: ResultsFile,
        isStopped: @escaping () -> Bool,
        report: @escaping (RunProgress) -> Void
    ) {
        self.bundle = bundle
        self.engine = engine
        self.surroundings = surroundings
        self.file = file
        self.isStopped = isStopped
        self.report = report
    }

    /// Runs every job that the results do not hold yet.
    func run() throws {
        let missing = bundle.manifest.jobs.filter { !file.isDone($0.number) }
        progress.jobs = bundle.manifest.jobs.count
        progress.jobsDone = progress.jobs - missing.count
        guard !missing.isEmpty else { return tell("all \(progress.jobs) jobs are done") }
        panel = try loaded(bundle.manifest.panel)
        let start = surroundings.now
        for (index, job) in missing.enumerated() {
            if index > 0 { try wait(bundle.manifest.timing.coolDownS, "cooling down") }
            try file.add(try time(job))
            progress.jobsDone += 1
            let each = (surroundings.now - start) / Double(index + 1)
            progress.secondsLeft = each * Double(missing.count - index - 1)
        }
        tell("all \(progress.jobs) jobs are done")
    }

    /// Returns the result of one job; its networks are dropped on return.
    private func time(_ job: Job) throws -> JobResult {
        progress.share = 0
        let networks = try loaded(job.networks)
        let models = panel.merging(networks) { _, network in network }
        var order = SplitMix64(seed: UInt64(job.number))
        try waitUntilClear()
        let before = surroundings.conditions()
        let start = surroundings.now
        var rounds: [[Sample]] = []
        while rounds.count < job.rounds {
            try waitUntilClear()
            tell("job \(job.number), round \(rounds.count + 1) of \(job.rounds)")
            if let samples = try undisturbed(models, &order) { rounds.append(samples) }
            progress.share = Double(rounds.count) / Double(job.rounds)
        }
        let seconds = surroundings.now - start
        let after = surroundings.conditions()
        return JobResult(
            number: job.number, rounds: rounds, before: before, after: after, seconds: seconds)
    }

    /// Returns one round; nil when the app was not in front all the time: what ran then says
    /// nothing of the models, and iOS may have refused to run it.
    private func undisturbed(
        _ models: [String: LoadedModel], _ order: inout SplitMix64
    ) throws -> [Sample]? {
        let interruptions = surroundings.interruptions
        do {
            let samples = try time(models, &order)
            return surroundings.interruptions == interruptions ? samples : nil
        } catch where !(error is Stopped) && surroundings.interruptions != interruptions {
            return nil
        }
    }

    /// Times every model once in random order, each right after untimed runs of it.
    private func time(
        _ models: [String: LoadedModel], _ order: inout SplitMix64
    ) throws -> [Sample] {
        // A dictionary's own order differs from start to start.
        let names = models.keys.sorted().shuffled(using: &order)
        return try names.map { name in
            try stopIfAsked()
            let model = models[name]!
            for _ in 0..<bundle.manifest.timing.untimedRuns { _ = try model.run() }
            return Sample(name: name, milliseconds: Double(try model.run()) / 1e6)
        }
    }

    /// Loads models, checks that they are the right ones, and warms them up.
    private func loaded(_ names: [String]) throws -> [String: LoadedModel] {
        var found: [String: LoadedModel] = [:]
        var ran: [String: RanModel] = [:]
        for (index, name) in names.enumerated() {
            try stopIfAsked()
            tell("loading \(index + 1) of \(names.count): \(name)")
            found[name] = try checked(name, &ran)
        }
        try file.add(ran)
        try warmUp(names.compactMap { found[$0] })
        return found
    }

    private func checked(_ name: String, _ ran: inout [String: RanModel]) throws -> LoadedModel {
        let facts = bundle.manifest.models[name]!
        let url = bundle.file(of: facts)
        guard try FileDigest.sha256(of: url) == facts.sha256 else {
            throw BenchError(
                "\(name): \(url.lastPathComponent) is not the file of the manifest: "
                    + "copy the bundle again"
            )
        }
        let model = try engine.load(url, facts)
        let values = try model.output()
        guard values.count == facts.output.count, values.allSatisfy({ $0.isFinite }) else {
            throw BenchError(
                "\(name) gave \(values.count) values, not \(facts.output.count) finite ones: "
                    + "this phone does not run it right"
            )
        }
        ran[name] = RanModel(sha256: facts.sha256, output: Probe.sampled(values))
        try compare(name, facts, ran)
        return model
    }

    private func compare(
        _ name: String, _ facts: TimedModel, _ ran: [String: RanModel]
    ) throws {
        let distance = Probe.distance(expected: facts.expected, seen: ran[name]!.output)
        guard distance > facts.tolerance else { return }
        try file.add(ran)  // what it gave is worth a look
        throw BenchError(
            "\(name) gave another output than it should (off by "
                + "\(String(format: "%.3g", distance)), allowed \(facts.tolerance)): "
                + "this phone does not run it right"
        )
    }

    private func warmUp(_ models: [LoadedModel]) throws {
        let timing = bundle.manifest.timing
        let start = surroundings.now
        var rounds = 0
        while !models.isEmpty,
            rounds < timing.warmUpRounds || surroundings.now - start < timing.warmUpS
        {
            for model in models {
                try stopIfAsked()
                _ = try model.run()
            }
            rounds += 1
        }
    }

    private func waitUntilClear() throws {
        while let obstacle = surroundings.obstacle {
            try stopIfAsked()
            tell("waiting: \(obstacle)")
            surroundings.pause(1)
        }
    }

    private func wait(_ seconds: Double, _ line: String) throws {
        let end = surroundings.now + seconds
        while surroundings.now < end {
            try stopIfAsked()
            tell(line)
            surroundings.pause(min(1, end - surroundings.now))
        }
    }

    private func stopIfAsked() throws {
        if isStopped() { throw Stopped() }
    }

    private func tell(_ line: String) {
        progress.line = line
        report(progress)
    }
}
