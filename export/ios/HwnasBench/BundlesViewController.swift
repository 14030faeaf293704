import UIKit

/// The bundles in Documents: a tap opens one.
final class BundlesViewController: UITableViewController {
    private var bundles: [(name: String, bundle: Result<BundleFolder, Error>)] = []
    private let phone = Phone()

    private let help =
        "Copy the folder that hwnas profile --emit wrote into this app: in the Finder, the phone's "
        + "Files tab, hwnas bench. Then pull down here."

    override func viewDidLoad() {
        super.viewDidLoad()
        title = "hwnas bench"
        let refresh = UIRefreshControl()
        refresh.addTarget(self, action: #selector(reload), for: .valueChanged)
        refreshControl = refresh
    }

    override func viewWillAppear(_ animated: Bool) {
        super.viewWillAppear(animated)
        reload()
    }

    @objc private func reload() {
        let documents = FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)[0]
        bundles = BundleFolder.all(in: documents)
        tableView.reloadData()
        refreshControl?.endRefreshing()
    }

    // MARK: Table

    override func tableView(_ tableView: UITableView, numberOfRowsInSection section: Int) -> Int {
        bundles.count
    }

    override func tableView(
        _ tableView: UITableView, titleForFooterInSection section: Int
    ) -> String? {
        help
    }

    override func tableView(
        _ tableView: UITableView, cellForRowAt indexPath: IndexPath
    ) -> UITableViewCell {
        let cell = UITableViewCell(style: .subtitle, reuseIdentifier: nil)
        let row = bundles[indexPath.row]
        cell.textLabel?.text = row.name
        cell.detailTextLabel?.numberOfLines = 0
        switch row.bundle {
        case .success(let bundle):
            cell.detailTextLabel?.text = summary(bundle)
            cell.accessoryType = .disclosureIndicator
        case .failure(let error):
            cell.detailTextLabel?.text = error.localizedDescription
            cell.selectionStyle = .none
        }
        return cell
    }

    override func tableView(_ tableView: UITableView, didSelectRowAt indexPath: IndexPath) {
        guard case .success(let bundle) = bundles[indexPath.row].bundle else { return }
        let run = RunViewController(bundle: bundle, phone: phone)
        navigationController?.pushViewController(run, animated: true)
    }

    private func summary(_ bundle: BundleFolder) -> String {
        let setup = bundle.manifest.setup
        let done = ResultsFile.read(bundle.results).map { results in
            results.bundle == bundle.manifest.bundle ? results.jobs.count : 0
        }
        return "\(setup.target), \(setup.space), \(setup.precision): "
            + "\(done ?? 0) of \(bundle.manifest.jobs.count) jobs done"
    }
}
