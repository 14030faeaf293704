// What the app uses of Core ML, declared after Apple's documentation: where there is no Xcode, its
// sources are held against this. Nothing here runs.
@_exported import Foundation
@_exported import ObjectiveC

public enum MLComputeUnits {
    case cpuOnly, cpuAndGPU, all
    @available(iOS 16.0, *)
    case cpuAndNeuralEngine
}

public class MLModelConfiguration: NSObject {
    public var computeUnits: MLComputeUnits = .all
}

public class MLFeatureDescription: NSObject {}

public class MLModelDescription: NSObject {
    public let inputDescriptionsByName: [String: MLFeatureDescription] = [:]
    public let outputDescriptionsByName: [String: MLFeatureDescription] = [:]
}

public enum MLMultiArrayDataType {
    case double, float32, float16, int32
}

public class MLMultiArray: NSObject {
    public let dataType: MLMultiArrayDataType
    public let shape: [NSNumber]
    public let strides: [NSNumber] = []
    public let dataPointer = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
        self.shape = shape
        self.dataType = dataType
    }
}

public class MLFeatureValue: NSObject {
    public let multiArrayValue: MLMultiArray?
    public init(multiArray: MLMultiArray) {
        multiArrayValue = multiArray
    }
}

public protocol MLFeatureProvider {
    func featureValue(for featureName: String) -> MLFeatureValue?
}

public class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public func featureValue(for featureName: String) -> MLFeatureValue? { nil }
}

public class MLModel: NSObject {
    public let modelDescription = MLModelDescription()
    public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}
    public class func compileModel(at modelURL: URL) throws -> URL { modelURL }
    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }
}
