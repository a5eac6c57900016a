import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

/// The body of a request after which the connection is closed.
///
/// A client often listens only when it has sent everything. After an answer to `Connection: close` the server reads
/// nothing more, so with an early answer (401, 404, 415 …) to a large body both would wait for each other. What nobody
/// has begun to read is therefore read and thrown away before the answer goes out.
struct UnreadBody: Sendable {
    /// More than any route accepts in one body but an import, which is read as a whole.
    static let limit = 32 << 20

    /// The same request; reading its body is noticed.
    let request: Request
    private let body: RequestBody
    private let reading = Reading()

    /// Nil if the connection stays open (the server then reads to the body's end) or there is no body.
    init?(_ request: Request) {
        guard request.headers[.connection] == "close",
            request.headers[.transferEncoding] != nil || (request.headers[.contentLength] ?? "0") != "0"
        else { return nil }
        self.body = request.body
        self.request = Request(
            head: request.head, body: RequestBody(asyncSequence: Watched(base: request.body, reading: reading)))
    }

    /// Reads what is still coming, if nobody has begun to.
    ///
    /// - Returns: false if that is more than ``limit``: the connection has to end with the client still sending.
    func discard() async -> Bool {
        guard !reading.hasBegun.load(ordering: .relaxed) else { return true }
        var passed = 0
        do {
            for try await buffer in body {
                passed += buffer.readableBytes
                if passed > Self.limit { return false }
            }
        } catch {
            // Gone in the middle; nobody is left who could wait.
        }
        return true
    }

    private final class Reading: Sendable {
        let hasBegun = Atomic(false)
    }

    private struct Watched: AsyncSequence, Sendable {
        let base: RequestBody
        let reading: Reading

        func makeAsyncIterator() -> RequestBody.AsyncIterator {
            reading.hasBegun.store(true, ordering: .relaxed)
            return base.makeAsyncIterator()
        }
    }
}

extension Response {
    /// The same answer, after which the connection ends at once.
    var endingTheConnection: Response {
        struct ClientSendsOn: Error {}
        let body = body
        var response = self
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            try await body.write(writer)
            throw ClientSendsOn()
        }
        return response
    }
}
