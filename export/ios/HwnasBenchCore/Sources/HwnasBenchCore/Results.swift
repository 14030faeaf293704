import Foundation

/// What the app writes to results.json; hwnas/bundle/results.py says what it means and checks it.
struct Results: Codable, Equatable {
    static let schema = "hwnas-results/1"

    var schemaVersion = Results.schema
    let bundle: String
    let setup: Setup
    let device: DeviceFacts
    let runtime: RuntimeFacts
    var models: [String: RanModel]
    var jobs: [JobResult]

    enum CodingKeys: String, CodingKey {
        case schemaVersion = "schema"
        case bundle
        case setup
        case device
        case runtime
        case models
        case jobs
    }
}

/// What identifies the phone: equal for all results that may be put together.
struct DeviceFacts: Codable, Equatable {
    let model: String
    let cpu: String
    let cores: Int
    let os: String
    let machine: String
    let governor: String

    enum CodingKeys: String, CodingKey {
        case model
        case cpu
        case cores
        case os
        case machine
        case governor
    }
}

/// Who ran the models.
struct RuntimeFacts: Codable, Equatable {
    let name: String
    let version: String
    let harness: String

    enum CodingKeys: String, CodingKey {
        case name
        case version
        case harness
    }
}

/// How the phone was, at one moment; nil: not readable. iOS tells no temperature and no clock rate.
struct Conditions: Codable, Equatable {
    var thermalState: String?
    var throttled: Bool?
    var batteryPercent: Double?
    var charging: Bool?

    enum CodingKeys: String, CodingKey {
        case thermalState = "thermal_state"
        case throttled
        case batteryPercent = "battery_percent"
        case charging
    }
}

/// What shows that the right model ran.
struct RanModel: Codable, Equatable {
    let sha256: String
    let output: [Double]

    enum CodingKeys: String, CodingKey {
        case sha256
        case output
    }
}

/// One job, done.
struct JobResult: Codable, Equatable {
    let number: Int
    let rounds: [[Sample]]
    let before: Conditions
    let after: Conditions
    let seconds: Double

    enum CodingKeys: String, CodingKey {
        case number
        case rounds
        case before
        case after
        case seconds
    }
}

/// One timed run; in the file a list of name and milliseconds.
struct Sample: Codable, Equatable {
    let name: String
    let milliseconds: Double

    init(name: String, milliseconds: Double) {
        self.name = name
        self.milliseconds = milliseconds
    }

    init(from decoder: Decoder) throws {
        var pair = try decoder.unkeyedContainer()
        name = try pair.decode(String.self)
        milliseconds = try pair.decode(Double.self)
    }

    func encode(to encoder: Encoder) throws {
        var pair = encoder.unkeyedContainer()
        try pair.encode(name)
        try pair.encode(milliseconds)
    }
}
