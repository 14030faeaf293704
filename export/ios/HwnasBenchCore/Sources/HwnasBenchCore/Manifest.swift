import Foundation

/// The parts of manifest.json that the app reads; hwnas/bundle/manifest.py says what they mean.
struct Manifest: Decodable, Equatable {
    static let schema = "hwnas-manifest/1"
    static let fileName = "manifest.json"

    let schemaVersion: String
    let bundle: String
    let setup: Setup
    let timing: TimingProtocol
    let panel: [String]
    let models: [String: TimedModel]
    let suffix: String
    let jobs: [Job]

    enum CodingKeys: String, CodingKey {
        case schemaVersion = "schema"
        case bundle
        case setup
        case timing = "protocol"
        case panel
        case models
        case suffix
        case jobs
    }
}

/// What decides a time beside the model. Written back as it was read.
struct Setup: Codable, Equatable {
    let target: String
    let space: String
    let runtime: String
    let format: String
    let precision: String
    let threads: Int
    let computeUnits: String?

    enum CodingKeys: String, CodingKey {
        case target
        case space
        case runtime
        case format
        case precision
        case threads
        case computeUnits = "compute_units"
    }
}

/// How everything is timed.
struct TimingProtocol: Decodable, Equatable {
    let warmUpRounds: Int
    let warmUpS: Double
    let untimedRuns: Int
    let coolDownS: Double

    enum CodingKeys: String, CodingKey {
        case warmUpRounds = "warm_up_rounds"
        case warmUpS = "warm_up_s"
        case untimedRuns = "untimed_runs"
        case coolDownS = "cool_down_s"
    }
}

/// A model that is to be timed.
struct TimedModel: Decodable, Equatable {
    let sha256: String
    let input: TensorFacts
    let output: TensorFacts
    let expected: [Double]
    let tolerance: Double

    enum CodingKeys: String, CodingKey {
        case sha256
        case input
        case output
        case expected
        case tolerance
    }
}

/// The input or the output of a model as its file declares it.
struct TensorFacts: Decodable, Equatable {
    let shape: [Int]
    let dtype: String

    enum CodingKeys: String, CodingKey {
        case shape
        case dtype
    }

    var count: Int { shape.reduce(1, *) }
}

/// One batch: these networks are loaded, then every round times the panel and them once.
struct Job: Decodable, Equatable {
    let number: Int
    let networks: [String]
    let rounds: Int

    enum CodingKeys: String, CodingKey {
        case number
        case networks
        case rounds
    }
}

extension Manifest {
    /// Reads a manifest, and checks what everything after it relies on.
    static func read(_ data: Data) throws -> Manifest {
        let decoder = JSONDecoder()
        guard let stated = try? decoder.decode(Stated.self, from: data) else {
            throw BenchError("\(fileName) is no manifest of hwnas: copy the bundle again")
        }
        guard stated.schema == schema else {
            throw BenchError(
                "\(fileName) is of \(stated.schema), but this app reads \(schema): "
                    + "build the app of the hwnas that wrote the bundle"
            )
        }
        let manifest: Manifest
        do {
            manifest = try decoder.decode(Manifest.self, from: data)
        } catch {
            throw BenchError("\(fileName) is not complete (\(brief(error))): copy the bundle again")
        }
        try manifest.check()
        return manifest
    }

    private func check() throws {
        guard setup.runtime == "coreml" else {
            throw BenchError("this bundle is for \(setup.runtime); the app runs coreml only")
        }
        for name in panel + jobs.flatMap({ $0.networks }) where models[name] == nil {
            throw BenchError("\(Manifest.fileName) names no model \(name): copy the bundle again")
        }
        guard Set(jobs.map { $0.number }).count == jobs.count else {
            throw BenchError("\(Manifest.fileName) has two jobs of one number: write it again")
        }
    }

    private struct Stated: Decodable {
        let schema: String
    }
}

private func brief(_ error: Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _):
        return "no \(key.stringValue)"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
        return "wrong " + context.codingPath.map { $0.stringValue }.joined(separator: ".")
    default:
        return "not JSON"
    }
}
