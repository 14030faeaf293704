import Foundation

/// results.json of a bundle: written anew after every job, as a whole or not at all, and taken up
/// again by the next start of the app.
final class ResultsFile {
    let url: URL
    private(set) var results: Results
    /// Where results of another bundle, phone or system went that lay in the place of this file.
    private(set) var setAside: String?

    /// Opens the file of an earlier start, or begins an empty one.
    init(url: URL, beginning: Results) throws {
        self.url = url
        results = beginning
        guard FileManager.default.fileExists(atPath: url.path) else { return }
        if let earlier = ResultsFile.read(url), earlier.isOfSame(beginning) {
            results = earlier
        } else {
            setAside = try ResultsFile.moveAway(url)
        }
    }

    func isDone(_ job: Int) -> Bool {
        results.jobs.contains { $0.number == job }
    }

    /// Keeps what shows that the right models ran.
    func add(_ models: [String: RanModel]) throws {
        var next = results
        next.models.merge(models) { _, latest in latest }
        try write(next)
    }

    /// Keeps a job that is done.
    func add(_ job: JobResult) throws {
        var next = results
        next.jobs.append(job)
        try write(next)
    }

    static func read(_ url: URL) -> Results? {
        guard let data = try? Data(contentsOf: url) else { return nil }
        return try? JSONDecoder().decode(Results.self, from: data)
    }

    private func write(_ next: Results) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        do {
            // Writes a temporary file and renames it.
            try encoder.encode(next).write(to: url, options: .atomic)
        } catch {
            throw BenchError(
                "\(url.lastPathComponent) cannot be written (\(error.localizedDescription)): "
                    + "make room on the phone and start again; finished jobs are kept"
            )
        }
        results = next
    }

    private static func moveAway(_ url: URL) throws -> String {
        let stem = url.deletingPathExtension().lastPathComponent
        let folder = url.deletingLastPathComponent()
        var target = folder.appendingPathComponent("\(stem)-old-1.json")
        var number = 1
        while FileManager.default.fileExists(atPath: target.path) {
            number += 1
            target = folder.appendingPathComponent("\(stem)-old-\(number).json")
        }
        do {
            try FileManager.default.moveItem(at: url, to: target)
        } catch {
            throw BenchError("\(url.lastPathComponent) is of another run: remove it")
        }
        return target.lastPathComponent
    }
}

extension Results {
    /// Whether jobs of both may stand in one file.
    func isOfSame(_ other: Results) -> Bool {
        schemaVersion == other.schemaVersion && bundle == other.bundle && setup == other.setup
            && device == other.device && runtime == other.runtime
    }
}
