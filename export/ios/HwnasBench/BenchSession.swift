import Foundation

/// A run of one bundle on a thread of its own; what it tells arrives on the main thread.
final class BenchSession {
    enum Ending {
        case done(URL)
        case stopped
        case failed(String)
    }

    private let bundle: BundleFolder
    private let phone: Phone
    private let lock = NSLock()
    private var isStopped = false

    init(bundle: BundleFolder, phone: Phone) {
        self.bundle = bundle
        self.phone = phone
    }

    /// - Parameter note: told once, when results of another run lay in the way.
    func start(
        progress: @escaping (RunProgress) -> Void,
        note: @escaping (String) -> Void,
        ended: @escaping (Ending) -> Void
    ) {
        let thread = Thread {
            let ending = self.run(
                { news in DispatchQueue.main.async { progress(news) } },
                { text in DispatchQueue.main.async { note(text) } })
            DispatchQueue.main.async { ended(ending) }
        }
        thread.qualityOfService = .userInteractive
        thread.stackSize = 8 << 20  // a compiler runs on it
        thread.start()
    }

    /// Asks the run to end before the next model runs.
    func stop() {
        lock.lock()
        isStopped = true
        lock.unlock()
    }

    private func run(
        _ progress: @escaping (RunProgress) -> Void, _ note: (String) -> Void
    ) -> Ending {
        do {
            let beginning = Phone.beginning(bundle.manifest)
            let file = try ResultsFile(url: bundle.results, beginning: beginning)
            if let name = file.setAside {
                note("earlier results of another bundle, phone or system are now in \(name)")
            }
            let engine = try CoreMLEngine(computeUnits: bundle.manifest.setup.computeUnits)
            try Runner(
                bundle: bundle, engine: engine, surroundings: phone, file: file,
                isStopped: stopped, report: progress
            ).run()
            return .done(file.url)
        } catch is Stopped {
            return .stopped
        } catch {
            return .failed(error.localizedDescription)
        }
    }

    private func stopped() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        return isStopped
    }
}
