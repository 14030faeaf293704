import CoreML
import Foundation

/// Loads models for the compute units of a bundle.
final class CoreMLEngine: Engine {
    private let configuration = MLModelConfiguration()

    /// - Parameter computeUnits: as in a manifest; nil: what Core ML does by itself.
    init(computeUnits: String?) throws {
        switch computeUnits {
        case nil, "all": configuration.computeUnits = .all
        case "cpu": configuration.computeUnits = .cpuOnly
        case "cpu_and_gpu": configuration.computeUnits = .cpuAndGPU
        case "cpu_and_neural_engine":
            guard #available(iOS 16.0, *) else {
                throw BenchError("cpu_and_neural_engine needs iOS 16: use all, or update the phone")
            }
            configuration.computeUnits = .cpuAndNeuralEngine
        case let other?:
            throw BenchError("compute units \(other) are not known to this app: build a newer one")
        }
    }

    func load(_ file: URL, _ facts: TimedModel) throws -> LoadedModel {
        do {
            return try autoreleasepool { try CoreMLModel(file, facts, configuration) }
        } catch let error as BenchError {
            throw error
        } catch {
            throw BenchError(
                "Core ML does not load \(file.lastPathComponent): \(error.localizedDescription)")
        }
    }

    /// Removes what a killed app had compiled: it would fill the phone.
    static func removeLeftovers() {
        let files = FileManager.default
        let temporary = files.temporaryDirectory
        let names = (try? files.contentsOfDirectory(atPath: temporary.path)) ?? []
        for name in names {
            try? files.removeItem(at: temporary.appendingPathComponent(name))
        }
    }
}

/// One model, compiled on the phone and loaded, with the input of `Probe`.
final class CoreMLModel: LoadedModel {
    private let compiled: URL
    private let model: MLModel
    private let input: MLFeatureProvider
    private let outputName: String

    init(_ file: URL, _ facts: TimedModel, _ configuration: MLModelConfiguration) throws {
        let compiled = try MLModel.compileModel(at: file)
        do {
            let model = try MLModel(contentsOf: compiled, configuration: configuration)
            let description = model.modelDescription
            guard
                let inputName = description.inputDescriptionsByName.keys.first,
                let outputName = description.outputDescriptionsByName.keys.first
            else { throw BenchError("\(file.lastPathComponent) has no input or no output") }
            let value = MLFeatureValue(multiArray: try probeArray(facts.input))
            input = try MLDictionaryFeatureProvider(dictionary: [inputName: value])
            self.outputName = outputName
            self.model = model
            self.compiled = compiled
        } catch {
            try? FileManager.default.removeItem(at: compiled)
            throw error
        }
    }

    deinit {
        try? FileManager.default.removeItem(at: compiled)
    }

    func run() throws -> UInt64 {
        try autoreleasepool {
            // Nanoseconds of mach_absolute_time, which only goes forward.
            let start = DispatchTime.now().uptimeNanoseconds
            _ = try model.prediction(from: input)
            return DispatchTime.now().uptimeNanoseconds - start
        }
    }

    func output() throws -> [Double] {
        try autoreleasepool {
            let result = try model.prediction(from: input)
            guard let array = result.featureValue(for: outputName)?.multiArrayValue else {
                throw BenchError("the output \(outputName) is no array")
            }
            return try values(of: array)
        }
    }
}

/// Returns an array that holds the values of `Probe` in order.
private func probeArray(_ facts: TensorFacts) throws -> MLMultiArray {
    let shape = facts.shape.map { NSNumber(value: $0) }
    let array = try MLMultiArray(shape: shape, dataType: try dataType(facts.dtype))
    let layout = memory(of: array)
    switch facts.dtype {
    case "float32":
        let numbers = array.dataPointer.assumingMemoryBound(to: Float.self)
        for index in 0..<facts.count {
            numbers[layout.offset(of: index)] = Float(Probe.value(at: index))
        }
    default:
        let bits = array.dataPointer.assumingMemoryBound(to: UInt16.self)
        for index in 0..<facts.count {
            bits[layout.offset(of: index)] = Half.bits(of: Probe.value(at: index))
        }
    }
    return array
}

private func dataType(_ name: String) throws -> MLMultiArrayDataType {
    switch name {
    case "float32": return .float32
    case "float16":
        guard #available(iOS 16.0, *) else {
            throw BenchError("arrays in float16 need iOS 16: write the bundle with float32 ones")
        }
        return .float16
    default: throw BenchError("arrays in \(name) are not known to this app: build a newer one")
    }
}

/// Returns the values of an array, the last axis fastest; Core ML may leave gaps between rows.
private func values(of array: MLMultiArray) throws -> [Double] {
    let layout = memory(of: array)
    if #available(iOS 16.0, *), array.dataType == .float16 {
        let bits = array.dataPointer.assumingMemoryBound(to: UInt16.self)
        return (0..<layout.count).map { Half.value(of: bits[layout.offset(of: $0)]) }
    }
    switch array.dataType {
    case .float32:
        let numbers = array.dataPointer.assumingMemoryBound(to: Float.self)
        return (0..<layout.count).map { Double(numbers[layout.offset(of: $0)]) }
    case .double:
        let numbers = array.dataPointer.assumingMemoryBound(to: Double.self)
        return (0..<layout.count).map { numbers[layout.offset(of: $0)] }
    default:
        throw BenchError("the output is an array of a type that this app does not read")
    }
}

private func memory(of array: MLMultiArray) -> Layout {
    Layout(
        shape: array.shape.map { $0.intValue }, strides: array.strides.map { $0.intValue })
}
