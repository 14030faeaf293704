import Foundation

/// A model in memory, with its input.
protocol LoadedModel: AnyObject {
    /// Runs once; returns the nanoseconds that it took.
    func run() throws -> UInt64

    /// Runs once; returns the values of the output, the last axis fastest.
    func output() throws -> [Double]
}

/// Loads models; they leave the memory, and what was written for them the disk, with the last
/// reference to them.
protocol Engine: AnyObject {
    func load(_ file: URL, _ facts: TimedModel) throws -> LoadedModel
}

/// The phone around the models.
protocol Surroundings: AnyObject {
    /// Why nothing can be timed now, in words for the person; nil: all is well.
    var obstacle: String? { get }

    /// How often the app was not in front so far.
    var interruptions: Int { get }

    /// Seconds by a clock that only goes forward.
    var now: Double { get }

    func conditions() -> Conditions

    func pause(_ seconds: Double)
}

/// Where a run stands.
struct RunProgress: Equatable {
    var jobsDone = 0
    var jobs = 0
    /// 0 ... 1, of the job in work.
    var share = 0.0
    /// What happens now, in one line.
    var line = ""
    /// Estimated from the jobs of this start; nil: not known yet.
    var secondsLeft: Double?
}
