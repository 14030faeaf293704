import UIKit

/// One bundle: start, stop, how far it is, what is wrong, and its results to send.
final class RunViewController: UIViewController {
    private let bundle: BundleFolder
    private let phone: Phone
    private var session: BenchSession?

    private let jobs = UILabel()
    private let bar = UIProgressView(progressViewStyle: .default)
    private let line = UILabel()
    private let note = UILabel()
    private let startButton = UIButton(type: .system)
    private let shareButton = UIButton(type: .system)

    init(bundle: BundleFolder, phone: Phone) {
        self.bundle = bundle
        self.phone = phone
        super.init(nibName: nil, bundle: nil)
    }

    @available(*, unavailable)
    required init?(coder: NSCoder) {
        fatalError("not from a storyboard")
    }

    override func viewDidLoad() {
        super.viewDidLoad()
        title = bundle.name
        if #available(iOS 13.0, *) {
            view.backgroundColor = .systemBackground
        } else {
            view.backgroundColor = .white
        }
        for label in [jobs, line, note] { label.numberOfLines = 0 }
        startButton.addTarget(self, action: #selector(startOrStop), for: .touchUpInside)
        shareButton.setTitle("Send results", for: .normal)
        shareButton.addTarget(self, action: #selector(share), for: .touchUpInside)
        layOut([jobs, bar, line, note, startButton, shareButton])
        show(RunProgress(jobsDone: finished, jobs: bundle.manifest.jobs.count, line: "ready"))
        showButtons()
    }

    override func didReceiveMemoryWarning() {
        super.didReceiveMemoryWarning()
        note.text = "The phone is short of memory: close other apps."
    }

    private func layOut(_ views: [UIView]) {
        let stack = UIStackView(arrangedSubviews: views)
        stack.axis = .vertical
        stack.spacing = 16
        stack.translatesAutoresizingMaskIntoConstraints = false
        view.addSubview(stack)
        let guide = view.safeAreaLayoutGuide
        NSLayoutConstraint.activate([
            stack.topAnchor.constraint(equalTo: guide.topAnchor, constant: 24),
            stack.leadingAnchor.constraint(equalTo: guide.leadingAnchor, constant: 16),
            stack.trailingAnchor.constraint(equalTo: guide.trailingAnchor, constant: -16),
        ])
    }

    // MARK: Actions

    @objc private func startOrStop() {
        if let session = session {
            session.stop()
            line.text = "stopping"
            startButton.isEnabled = false
            return
        }
        let session = BenchSession(bundle: bundle, phone: phone)
        self.session = session
        note.text = nil
        session.start(
            progress: { [weak self] in self?.show($0) },
            note: { [weak self] in self?.note.text = $0 },
            ended: { [weak self] in self?.end($0) })
        showButtons()
    }

    @objc private func share() {
        let sheet = UIActivityViewController(
            activityItems: [bundle.results], applicationActivities: nil)
        sheet.popoverPresentationController?.sourceView = shareButton
        present(sheet, animated: true)
    }

    // MARK: What is shown

    private func end(_ ending: BenchSession.Ending) {
        session = nil
        startButton.isEnabled = true
        switch ending {
        case .done(let file): note.text = "Send \(file.lastPathComponent) to hwnas."
        case .stopped: line.text = "stopped; finished jobs are kept"
        case .failed(let message): line.text = message
        }
        showButtons()
    }

    private func show(_ progress: RunProgress) {
        let left = progress.secondsLeft.map { ", \(minutes($0)) left" } ?? ""
        jobs.text = "\(progress.jobsDone) of \(progress.jobs) jobs done\(left)"
        line.text = progress.line
        let share = Double(progress.jobsDone) + (session == nil ? 0 : progress.share)
        bar.progress = Float(share / Double(max(1, progress.jobs)))
    }

    private func showButtons() {
        // One run at a time: two would time each other.
        navigationItem.hidesBackButton = session != nil
        startButton.setTitle(session == nil ? "Start" : "Stop", for: .normal)
        let hasResults = FileManager.default.fileExists(atPath: bundle.results.path)
        shareButton.isEnabled = session == nil && hasResults
    }

    private var finished: Int {
        guard let results = ResultsFile.read(bundle.results),
            results.bundle == bundle.manifest.bundle
        else { return 0 }
        return results.jobs.count
    }

    private func minutes(_ seconds: Double) -> String {
        seconds < 90 ? "a minute" : "\(Int((seconds / 60).rounded())) minutes"
    }
}
