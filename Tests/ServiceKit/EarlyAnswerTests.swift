import Foundation
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import Testing

@testable import ServiceKit

/// A client that sends all before it listens, on a plain socket, and closes then.
private struct StubbornClient {
    /// - Returns: everything that the server said; empty if it never did, or refused to read on.
    static func send(_ head: String, megabytes: Int, chunked: Bool, to port: Int) -> String {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0, write(descriptor, Array(head.utf8)) else { return "" }
        let megabyte = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        for _ in 0..<megabytes {
            if chunked, !write(descriptor, Array("100000\r\n".utf8)) { return "" }
            if !write(descriptor, megabyte) { return "" }
            if chunked, !write(descriptor, Array("\r\n".utf8)) { return "" }
        }
        if chunked, !write(descriptor, Array("0\r\n\r\n".utf8)) { return "" }
        var said: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 {
            said += buffer[..<count]
        }
        return String(decoding: said, as: UTF8.self)
    }

    private static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

/// An answer that is ready before the request has come in whole reaches who closes after it.
@Suite struct EarlyAnswerTests {
    /// What a client hears that sends so many megabytes to a route that takes JSON up to one.
    private func answer(
        _ path: String = "/v1/things", type: String = "text/plain", megabytes: Int, chunked: Bool = false
    ) async throws -> String {
        try await serving { router, document in
            router.add(
                &document,
                Operation(
                    .post, "/v1/things", "Add", access: .anyone, body: .of(("application/json", .any)),
                    answers: [.ok(.any)])
            ) { request, _ in
                try await request.bytes(limit: Request.jsonLimit).count.description
            }
            router.add(
                &document,
                Operation(
                    .post, "/v1/typed", "Add", access: .anyone, body: .of(("application/json", .any)),
                    answers: [.ok(.any)])
            ) { request, _ in
                try await request.jsonBody().bytes.count.description
            }
        } _: { client in
            let length = chunked ? "Transfer-Encoding: chunked" : "Content-Length: \(megabytes << 20)"
            let head = "POST \(path) HTTP/1.1\r\nHost: sluice.test\r\nConnection: close\r\nContent-Type: \(type)\r\n"
            let port = try #require(client.port)
            return await withCheckedContinuation { continuation in
                DispatchQueue.global().async {
                    continuation.resume(
                        returning: StubbornClient.send(
                            head + length + "\r\n\r\n", megabytes: megabytes, chunked: chunked, to: port))
                }
            }
        }
    }

    @Test func `a wrong type, an unknown address, too long a body: each is told after all has been sent`() async throws
    {
        #expect(try await answer("/v1/typed", megabytes: 16).hasPrefix("HTTP/1.1 415"))
        #expect(try await answer("/v1/nothing", megabytes: 16).hasPrefix("HTTP/1.1 404"))
        #expect(try await answer(megabytes: 16).hasPrefix("HTTP/1.1 413"))
    }

    @Test func `so it is for a body of unannounced length`() async throws {
        #expect(try await answer("/v1/typed", megabytes: 16, chunked: true).hasPrefix("HTTP/1.1 415"))
        #expect(try await answer(megabytes: 16, chunked: true).hasPrefix("HTTP/1.1 413"))
    }

    @Test func `what is accepted is accepted as ever`() async throws {
        let said = try await answer(megabytes: 1)
        #expect(said.hasPrefix("HTTP/1.1 200"))
        #expect(said.hasSuffix("1048576"))
        #expect(try await answer(megabytes: 1, chunked: true).hasSuffix("1048576"))
    }

    @Test func `a client that never ends is cut off`() async throws {
        // It may or may not read the answer before its connection is reset; it does not hang.
        let said = try await answer("/v1/typed", megabytes: (UnreadBody.limit >> 20) + 64)
        #expect(said.isEmpty || said.hasPrefix("HTTP/1.1 415"))
    }
}
