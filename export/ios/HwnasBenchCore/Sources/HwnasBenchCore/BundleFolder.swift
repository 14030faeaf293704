import Foundation

/// A bundle in the app's Documents: a folder with manifest.json and models/.
struct BundleFolder {
    let url: URL
    let manifest: Manifest

    var name: String { url.lastPathComponent }

    /// Beside the folder, so that the Finder shows it without its models.
    var results: URL {
        url.deletingLastPathComponent().appendingPathComponent("\(name)-results.json")
    }

    func file(of model: TimedModel) -> URL {
        url.appendingPathComponent("models").appendingPathComponent(
            model.sha256 + manifest.suffix)
    }

    /// Reads a folder's manifest.
    static func read(_ url: URL) throws -> BundleFolder {
        let file = url.appendingPathComponent(Manifest.fileName)
        guard let data = try? Data(contentsOf: file) else {
            throw BenchError("\(Manifest.fileName) cannot be read: copy the bundle again")
        }
        return BundleFolder(url: url, manifest: try Manifest.read(data))
    }

    /// The bundles of a folder by name, each with what is wrong with it, if anything.
    static func all(in documents: URL) -> [(name: String, bundle: Result<BundleFolder, Error>)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: documents.path)) ?? []
        return names.sorted().compactMap { name in
            let url = documents.appendingPathComponent(name)
            let manifest = url.appendingPathComponent(Manifest.fileName)
            guard FileManager.default.fileExists(atPath: manifest.path) else { return nil }
            return (name, Result { try read(url) })
        }
    }
}
