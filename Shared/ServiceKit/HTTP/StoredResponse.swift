import Crypto
public import HTTPTypes
public import Hummingbird
import Model
import NIOCore

/// An answer that is complete before its transaction commits, so that it can be stored with it and given again.
public struct StoredResponse: Sendable, Hashable {
    public var status: HTTPResponse.Status
    public var headers: HTTPFields
    public var body: [UInt8]

    public init(_ status: HTTPResponse.Status, headers: HTTPFields = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A JSON answer. The same value gives the same bytes: what is stored for a repeated request and what is sent now are
    /// made at two times.
    public init(_ status: HTTPResponse.Status, headers: HTTPFields = [:], json value: some Encodable) throws {
        var headers = headers
        headers[.contentType] = "application/json; charset=utf-8"
        self.init(status, headers: headers, body: try JSONBytes.encode(value))
    }

    public var response: Response {
        Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    // MARK: Stored form: header lines, an empty line, the body

    func sealed(_ key: SymmetricKey) throws -> [UInt8] {
        var plain: [UInt8] = []
        for field in headers { plain.append(contentsOf: "\(field.name.rawName): \(field.value)\n".utf8) }
        plain.append(UInt8(ascii: "\n"))
        plain.append(contentsOf: body)
        guard let box = try AES.GCM.seal(plain, using: key).combined else {
            throw CryptoKitError.incorrectParameterSize
        }
        return Array(box)
    }

    init(status: Int, sealed: [UInt8], _ key: SymmetricKey) throws {
        let plain = Array(try AES.GCM.open(AES.GCM.SealedBox(combined: sealed), using: key))
        var headers = HTTPFields()
        var rest = plain[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: rest[rest.startIndex..<end], as: UTF8.self)
            rest = rest[(end + 1)...]
            guard let colon = line.firstIndex(of: ":"), let name = HTTPField.Name(String(line[..<colon])) else { break }
            headers.append(HTTPField(name: name, value: line[line.index(after: colon)...].trimmingBlanks()))
        }
        self.init(HTTPResponse.Status(code: status), headers: headers, body: Array(rest))
    }
}

extension Response {
    /// A JSON answer.
    public static func json(
        _ status: HTTPResponse.Status = .ok, headers: HTTPFields = [:], _ value: some Encodable
    ) throws -> Response {
        try StoredResponse(status, headers: headers, json: value).response
    }
}
