import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
    /// Reads back an answer that was made from bytes.
    func decoded<T: Decodable>(_ type: T.Type) async throws -> T {
        let writer = CollectingWriter()
        try await body.write(writer)
        return try JSONDecoder().decode(type, from: Data(writer.storage.bytes))
    }
}

/// Takes a response's body into memory.
private struct CollectingWriter: ResponseBodyWriter {
    final class Storage { var bytes: [UInt8] = [] }
    let storage = Storage()

    mutating func write(_ buffer: ByteBuffer) async throws {
        storage.bytes.append(contentsOf: buffer.readableBytesView)
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
