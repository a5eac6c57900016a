import Testing

@testable import ServiceKit

@Suite("Reading multipart bodies")
struct MultipartReaderTests {
    private static let body = """
        preamble is passed over\r
        --x--y\r
        Content-Disposition: form-data; name="report"\r
        Content-Type: application/json; charset=utf-8\r
        \r
        {"category":"cover"}\r
        --x--y\r
        content-disposition: form-data; name="photo"; filename="a;\\"b\\".jpg"\r
        content-type: image/jpeg\r
        \r
        one\r
        --x--z is not the boundary\r
        \r
        --x--y\r
        Content-Disposition: form-data; name="empty"\r
        \r
        \r
        --x--y--\r
        epilogue
        """

    private struct Part: Hashable {
        var head: MultipartReader.Part
        var text: String
    }

    private static func read(_ bytes: [UInt8], piece: Int) throws -> [Part] {
        var reader = try #require(MultipartReader(boundary: "x--y"))
        var parts: [Part] = []
        var position = 0
        while position < bytes.count {
            let end = min(bytes.count, position + piece)
            for event in try reader.feed(bytes[position..<end]) {
                switch event {
                case .begin(let head): parts.append(Part(head: head, text: ""))
                case .data(let data): parts[parts.count - 1].text += String(decoding: data, as: UTF8.self)
                case .end: break
                }
            }
            position = end
        }
        try reader.finish()
        return parts
    }

    @Test("gives the same parts however the bytes are cut", arguments: 1...64)
    func cuts(piece: Int) throws {
        let parts = try Self.read(Array(Self.body.utf8), piece: piece)
        #expect(
            parts.map(\.head) == [
                .init(name: "report", fileName: nil, contentType: "application/json"),
                .init(name: "photo", fileName: "a;\"b\".jpg", contentType: "image/jpeg"),
                .init(name: "empty", fileName: nil, contentType: "text/plain"),
            ])
        #expect(parts.map(\.text) == [#"{"category":"cover"}"#, "one\r\n--x--z is not the boundary\r\n", ""])
    }

    @Test("a body that was cut off anywhere is told as cut off")
    func truncated() throws {
        let bytes = Array(Self.body.utf8)
        let end = try #require(bytes.firstRange(of: Array("--x--y--".utf8), from: 0)) + 8
        for length in 0..<end {
            #expect(throws: MultipartReader.Failure.self) { try Self.read(Array(bytes[..<length]), piece: 7) }
        }
    }

    @Test("a boundary at the very beginning counts")
    func firstBoundary() throws {
        let text = "--x--y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--y--"
        #expect(try Self.read(Array(text.utf8), piece: 3).map(\.text) == ["1"])
    }

    @Test(
        "what breaks the rules ends it",
        arguments: [
            "--x--yy\r\n", "--x--y\r\nno colon\r\n\r\n", "--x--y\r\nContent-Disposition: attachment; name=a\r\n\r\n1",
            "--x--y\r\nContent-Type: a/b\r\n\r\n1",
            "--x--y\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n",
            "--x--y\r\nX: " + String(repeating: "h", count: 10_000),
            String(repeating: "--x--y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n", count: 40),
        ])
    func broken(text: String) {
        #expect(throws: MultipartReader.Failure.self) { try Self.read(Array(text.utf8), piece: 11) }
    }

    @Test("a large part is passed on and not kept")
    func flow() throws {
        var reader = try #require(MultipartReader(boundary: "b"))
        _ = try reader.feed(Array("--b\r\nContent-Disposition: form-data; name=p\r\n\r\n".utf8))
        var passed = 0
        for _ in 0..<100 {
            for case .data(let bytes) in try reader.feed([UInt8](repeating: 45, count: 10_000)) {
                passed += bytes.count
            }
        }
        #expect(passed > 990_000)
    }

    @Test(
        "the boundary is found in a content type",
        arguments: [
            ("multipart/form-data; boundary=abc", "abc"), ("multipart/form-data;boundary=\"a b\"", "a b"),
            ("multipart/form-data; charset=utf-8; BOUNDARY=abc", "abc"), ("multipart/form-data", nil),
        ] as [(String, String?)])
    func boundary(type: String, boundary: String?) { #expect(MultipartReader.boundary(of: type) == boundary) }
}
