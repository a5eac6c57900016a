internal import AsyncHTTPClient
internal import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1

/// Speaks to the city over HTTP like everybody else: JSON, bearer token, idempotency keys.
struct CityClient: Sendable {
    /// An answer that says no.
    struct Refusal: Error, CustomStringConvertible {
        var status: Int
        var code: String?
        var detail: String?

        var description: String {
            (["HTTP \(status)", code, detail] as [String?]).compactMap { $0 }.joined(separator: " ")
        }

        /// Come again: too much at once, or a part is not there for the moment.
        var isPassing: Bool { status == 429 || status >= 502 }
    }

    private struct ProblemBody: Decodable {
        struct Field: Decodable {
            var field: String
            var detail: String?
        }

        var code: String?
        var detail: String?
        var errors: [Field]?
    }

    /// Without a slash at the end.
    let base: String
    let token: String?
    /// For those who are not signed in.
    var device: String?

    func get<Answer: Decodable>(_ path: String, as type: Answer.Type = Answer.self) async throws -> Answer {
        try await send("GET", path, body: nil as [String]?, key: nil)
    }

    /// - Parameter key: the same for each try of one act, so that it is done once.
    func post<Answer: Decodable>(
        _ path: String, _ body: some Encodable, key: String, headers: [(String, String)] = [],
        as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try await send("POST", path, body: body, key: key, headers: headers)
    }

    /// Whether something answers at all.
    func reaches(_ path: String) async -> Bool {
        let request = HTTPClientRequest(url: base + path)
        guard let response = try? await HTTPClient.shared.execute(request, timeout: .seconds(5)) else { return false }
        return (200..<300).contains(Int(response.status.code))
    }

    private func send<Answer: Decodable>(
        _ method: String, _ path: String, body: (some Encodable)?, key: String?, headers: [(String, String)] = []
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: base + path)
        request.method = .RAW(value: method)
        request.headers.add(name: "Accept", value: "application/json")
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let device { request.headers.add(name: "Sluice-Device", value: device) }
        if let key { request.headers.add(name: "Idempotency-Key", value: key) }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(try JSONEncoder().encode(body))
        }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let bytes = try await response.body.collect(upTo: 4 << 20)
        let data = Data(bytes.readableBytesView)
        guard (200..<300).contains(Int(response.status.code)) else {
            let problem = try? JSONDecoder().decode(ProblemBody.self, from: data)
            let fields = problem?.errors?.map { "\($0.field): \($0.detail ?? "")" }.joined(separator: "; ")
            throw Refusal(
                status: Int(response.status.code), code: problem?.code,
                detail: [problem?.detail, fields].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: " "))
        }
        if Answer.self == NoAnswer.self, let none = NoAnswer() as? Answer { return none }
        return try JSONDecoder().decode(Answer.self, from: data)
    }

    /// For answers whose body does not matter.
    struct NoAnswer: Decodable {}

    /// A list as every service gives it.
    struct Page<Item: Decodable & Sendable>: Decodable, Sendable {
        var items: [Item]
        var next: String?
    }
}
