import XCTest

@testable import HwnasBenchCore

final class DigestTests: FolderTests {
    private func message(_ length: Int) -> Data {
        Data((0..<length).map { UInt8($0 % 251) })
    }

    func testDigestsArePythons() throws {
        for (length, digest) in try Fixtures.vectors().sha256 {
            XCTAssertEqual(Sha256.hex(message(Int(length)!)), digest, "\(length) bytes")
        }
    }

    func testPiecesGiveTheDigestOfTheWhole() {
        let whole = message(1000)
        for size in [1, 7, 63, 64, 65, 200] {
            var hash = Sha256()
            for start in stride(from: 0, to: whole.count, by: size) {
                whole[start..<min(start + size, whole.count)].withUnsafeBytes { hash.update($0) }
            }
            XCTAssertEqual(hash.finished(), Sha256.hex(whole), "pieces of \(size)")
        }
    }

    func testAFileIsItsContent() throws {
        let url = folder.appendingPathComponent("model.mlmodel")
        try message(300_000).write(to: url)
        XCTAssertEqual(
            try FileDigest.sha256(of: url), try Fixtures.vectors().sha256["300000"])
    }

    func testAFolderIsTheListOfItsFiles() throws {
        let expected = try Fixtures.vectors().folder
        for (path, text) in expected.files { try write(text, "model.mlpackage/\(path)") }
        let url = folder.appendingPathComponent("model.mlpackage")
        XCTAssertEqual(try FileDigest.sha256(of: url), expected.sha256)
        try write("of the Finder", "model.mlpackage/Data/.DS_Store")
        try write("of a copy", "model.mlpackage/._Manifest.json")
        XCTAssertEqual(try FileDigest.sha256(of: url), expected.sha256)
        try write("something else", "model.mlpackage/other")
        XCTAssertNotEqual(try FileDigest.sha256(of: url), expected.sha256)
    }

    func testAMissingFileIsTold() {
        let url = folder.appendingPathComponent("abc.mlmodel")
        XCTAssertThrowsError(try FileDigest.sha256(of: url)) { error in
            XCTAssertEqual("\(error)", "abc.mlmodel is missing: copy the whole bundle again")
        }
    }
}
