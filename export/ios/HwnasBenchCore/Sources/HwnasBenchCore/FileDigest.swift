import Foundation

/// SHA-256 of a model file or folder, as `Artifact.sha256` of hwnas computes it.
enum FileDigest {
    /// Of a file: its content's. Of a folder: that of the list "digest  path" of all files, by path.
    static func sha256(of url: URL) throws -> String {
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw BenchError("\(url.lastPathComponent) is missing: copy the whole bundle again")
        }
        return isFolder(url) ? try ofFolder(url) : try ofFile(url)
    }

    private static func isFolder(_ url: URL) -> Bool {
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
        return exists && isFolder.boolValue
    }

    private static func ofFolder(_ url: URL) throws -> String {
        let paths = try FileManager.default.subpathsOfDirectory(atPath: url.path)
        var lines = ""
        // By bytes of UTF-8: Swift's own order of texts is another.
        for path in paths.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            let file = url.appendingPathComponent(path)
            if isFolder(file) || isOfFinder(file.lastPathComponent) { continue }
            lines += "\(try ofFile(file))  \(path)\n"
        }
        return Sha256.hex(Data(lines.utf8))
    }

    /// Whether macOS leaves files of this name in folders that it shows or copies.
    private static func isOfFinder(_ name: String) -> Bool {
        name == ".DS_Store" || name.hasPrefix("._")
    }

    private static func ofFile(_ url: URL) throws -> String {
        guard let stream = InputStream(url: url) else {
            throw BenchError("\(url.lastPathComponent) cannot be read: copy the bundle again")
        }
        stream.open()
        defer { stream.close() }
        var hash = Sha256()
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = stream.read(&buffer, maxLength: buffer.count)
            if count < 0 {
                throw BenchError("\(url.lastPathComponent) cannot be read: copy the bundle again")
            }
            if count == 0 { return hash.finished() }
            buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
