// What #selector and the app need of the Objective-C runtime. Nothing here runs.

public struct Selector {
    public init() {}
}

public func autoreleasepool<Result>(invoking body: () throws -> Result) rethrows -> Result {
    try body()
}
