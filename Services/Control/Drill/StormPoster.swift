internal import FoundationEssentials
internal import Model
internal import ServiceKit

/// Posts a script's reports at its pace, with a bound on how many are on their way.
struct StormPoster: Sendable {
    /// What became of one report.
    struct Posted: Sendable {
        var id: UUID?
        var emergency = false
        /// Seconds from its first try to its receipt.
        var took = 0.0
        var refusal: String?
    }

    private struct Body: Encodable {
        var category: String
        var description: String
        var lon: Double
        var lat: Double
        var personAtRisk: Bool
        var language: String
        var channel = "drill"

        private enum CodingKeys: String, CodingKey {
            case category, description, lon, lat, language, channel
            case personAtRisk = "person_at_risk"
        }
    }

    private struct Receipt: Decodable {
        var id: UUID
        var emergency: Bool
    }

    let client: CityClient
    /// Told apart by the drill's id in idempotency keys, so that one drill's report is not taken for another's.
    let drill: String
    let speed: Double
    let concurrency: Int

    /// - Parameter posted: called after each report, in any order.
    func post(
        _ lines: [StormScript.Line], posted: @escaping @Sendable (Posted) -> Void
    ) async throws -> [Posted] {
        let start = ContinuousClock.now
        return try await withThrowingTaskGroup(of: Posted.self) { group in
            var all: [Posted] = []
            all.reserveCapacity(lines.count)
            var running = 0
            for (index, line) in lines.enumerated() {
                // A script may be faster than the machine: then it falls behind, and nothing is left out.
                try await Task.sleep(until: start + .seconds(line.offset / speed))
                if running == concurrency, let one = try await group.next() {
                    all.append(one)
                    running -= 1
                }
                group.addTask {
                    let one = await post(line, key: "drill-\(drill)-\(index)")
                    posted(one)
                    return one
                }
                running += 1
            }
            for try await one in group { all.append(one) }
            return all
        }
    }

    private func post(_ line: StormScript.Line, key: String) async -> Posted {
        let body = Body(
            category: line.category, description: line.words, lon: line.lon, lat: line.lat,
            personAtRisk: line.personAtRisk, language: line.words.allSatisfy(\.isASCII) ? "en" : "zh")
        let start = ContinuousClock.now
        var posted = Posted()
        // Whoever is asked to come again does, under the same key, for a minute.
        for attempt in 0..<30 {
            do {
                let receipt: Receipt = try await client.post("/v1/reports", body, key: key)
                posted.id = receipt.id
                posted.emergency = receipt.emergency
                posted.took = (ContinuousClock.now - start) / .seconds(1)
                posted.refusal = nil
                return posted
            } catch let refusal as CityClient.Refusal where !refusal.isPassing {
                posted.refusal = refusal.description
                return posted
            } catch {
                posted.refusal = "\(error)"
                if Task.isCancelled { return posted }
                try? await Task.sleep(for: .milliseconds(min(100 << min(attempt, 5), 2_000)))
            }
        }
        return posted
    }
}
