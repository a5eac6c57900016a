import HTTPTypes
public import Hummingbird
import NIOCore

/// A multipart request's body, read part by part as it arrives.
public struct MultipartBody {
    private var buffers: RequestBody.AsyncIterator
    private var reader: MultipartReader
    private var events: [MultipartReader.Event] = []
    private var received = 0
    private let limit: Int

    /// The boundary of a multipart/form-data request; nil for any other.
    public static func boundary(_ request: Request) -> String? {
        guard let type = request.headers[.contentType], type.lowercased().hasPrefix("multipart/form-data") else {
            return nil
        }
        return MultipartReader.boundary(of: type) ?? ""
    }

    /// - Parameter limit: bytes of the whole body.
    public init(_ request: Request, boundary: String, limit: Int) throws(Problem) {
        guard let reader = MultipartReader(boundary: boundary) else {
            throw .malformed(
                "The content type names no usable boundary.", zh: "Content-Type 缺少可用的 boundary。",
                fields: [
                    FieldError("Content-Type", code: "boundary", "A boundary is wanted.", zh: "缺少 boundary。")
                ])
        }
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw .tooLarge(limit: limit)
        }
        self.reader = reader
        self.limit = limit
        self.buffers = request.body.makeAsyncIterator()
    }

    /// The next part's head; nil at the end. What was left of the part before is passed over.
    public mutating func nextPart() async throws -> MultipartReader.Part? {
        while let event = try await nextEvent() {
            if case .begin(let part) = event { return part }
        }
        return nil
    }

    /// The next piece of the present part; nil at its end.
    public mutating func nextPiece() async throws -> [UInt8]? {
        while let event = try await nextEvent() {
            switch event {
            case .data(let bytes): return bytes
            case .end: return nil
            case .begin: continue
            }
        }
        return nil
    }

    /// The whole of the present part. Throws a `Problem` (413) over `limit` bytes.
    public mutating func bytes(limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let piece = try await nextPiece() {
            bytes.append(contentsOf: piece)
            if bytes.count > limit { throw Problem.tooLarge(limit: limit) }
        }
        return bytes
    }

    private mutating func nextEvent() async throws -> MultipartReader.Event? {
        while events.isEmpty {
            do {
                guard let buffer = try await buffers.next() else {
                    try reader.finish()
                    return nil
                }
                received += buffer.readableBytes
                if received > limit { throw Problem.tooLarge(limit: limit) }
                events = try reader.feed(buffer.readableBytesView)
            } catch let failure as MultipartReader.Failure {
                throw Self.problem(failure)
            }
        }
        return events.removeFirst()
    }

    private static func problem(_ failure: MultipartReader.Failure) -> Problem {
        switch failure {
        case .tooManyParts:
            Problem.invalid(
                "body", code: "too_many_parts", "At most \(MultipartReader.partLimit) parts are accepted.",
                zh: "最多 \(MultipartReader.partLimit) 个部分。")
        case .malformed, .headerTooLarge, .truncated:
            Problem.malformed(
                "The multipart body is malformed or not complete.", zh: "multipart 请求体格式错误或不完整。",
                fields: [
                    FieldError("body", code: "multipart", "Not a complete multipart body.", zh: "不是完整的 multipart 请求体。")
                ])
        }
    }
}
