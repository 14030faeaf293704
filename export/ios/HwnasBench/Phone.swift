import CoreML
import UIKit

/// The phone: what it is, how it is, and whether anything can be timed on it now.
final class Phone: Surroundings {
    private let lock = NSLock()
    private var isInFront = true
    private var timesLeft = 0
    private var observers: [NSObjectProtocol] = []

    init() {
        // Both are posted on the main thread.
        observe(UIApplication.willResignActiveNotification) { phone in
            phone.isInFront = false
            phone.timesLeft += 1
        }
        observe(UIApplication.didBecomeActiveNotification) { phone in
            phone.isInFront = true
        }
    }

    private func observe(_ name: Notification.Name, _ change: @escaping (Phone) -> Void) {
        let center = NotificationCenter.default
        let observer = center.addObserver(forName: name, object: nil, queue: nil) { [weak self] _ in
            guard let phone = self else { return }
            phone.locked { change(phone) }
        }
        observers.append(observer)
    }

    private func locked<T>(_ body: () -> T) -> T {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    // MARK: Surroundings

    var interruptions: Int { locked { timesLeft } }

    var now: Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    var obstacle: String? {
        if !locked({ isInFront }) { return "hwnas bench is not in front" }
        if ProcessInfo.processInfo.isLowPowerModeEnabled {
            return "Low Power Mode slows the phone: switch it off in Settings > Battery"
        }
        if isHot { return "the phone is hot (\(thermalState)): it goes on when it has cooled down" }
        return nil
    }

    func pause(_ seconds: Double) {
        Thread.sleep(forTimeInterval: seconds)
    }

    /// Must not be called on the main thread, which it asks for the battery.
    func conditions() -> Conditions {
        var found = Conditions(
            thermalState: thermalState,
            throttled: isHot || ProcessInfo.processInfo.isLowPowerModeEnabled)
        DispatchQueue.main.sync {
            let device = UIDevice.current
            if device.batteryLevel >= 0 { found.batteryPercent = Double(device.batteryLevel) * 100 }
            switch device.batteryState {
            case .charging, .full: found.charging = true
            case .unplugged: found.charging = false
            default: break
            }
        }
        return found
    }

    /// iOS slows the processor from "serious" on.
    private var isHot: Bool {
        let state = ProcessInfo.processInfo.thermalState
        return state == .serious || state == .critical
    }

    private var thermalState: String {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: return "nominal"
        case .fair: return "fair"
        case .serious: return "serious"
        case .critical: return "critical"
        @unknown default: return "unknown"
        }
    }
}

extension Phone {
    /// What results of this phone begin with.
    static func beginning(_ manifest: Manifest) -> Results {
        Results(
            bundle: manifest.bundle, setup: manifest.setup, device: facts(),
            runtime: RuntimeFacts(
                name: manifest.setup.runtime, version: coreMLVersion(), harness: "ios 1"),
            models: [:], jobs: [])
    }

    private static func facts() -> DeviceFacts {
        let system = ProcessInfo.processInfo.operatingSystemVersion
        let patch = system.patchVersion > 0 ? ".\(system.patchVersion)" : ""
        return DeviceFacts(
            model: modelIdentifier(), cpu: processor(),
            cores: ProcessInfo.processInfo.processorCount,
            os: "iOS \(system.majorVersion).\(system.minorVersion)\(patch)",
            machine: "arm64", governor: "not readable")
    }

    /// Such as "iPhone6,1".
    private static func modelIdentifier() -> String {
        var system = utsname()
        uname(&system)
        return withUnsafeBytes(of: &system.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// iOS tells no name of the processor, but the number of its family.
    private static func processor() -> String {
        var family: UInt32 = 0
        var size = MemoryLayout<UInt32>.size
        guard sysctlbyname("hw.cpufamily", &family, &size, nil, 0) == 0 else { return "Apple" }
        return "Apple, family 0x" + String(family, radix: 16)
    }

    private static func coreMLVersion() -> String {
        let bundle = Bundle(for: MLModel.self)
        let version = bundle.object(forInfoDictionaryKey: "CFBundleVersion") as? String
        return version.map { "Core ML \($0)" } ?? "Core ML, version not readable"
    }
}
