internal import FoundationEssentials
internal import Model

/// A street office that reads its notices and acknowledges them, as somebody on duty does.
struct SimulatedOffice: Sendable {
    private struct Notice: Decodable {
        var noticeID: UUID
        var state: NoticeState

        private enum CodingKeys: String, CodingKey {
            case state
            case noticeID = "notice_id"
        }
    }

    let client: CityClient
    let office: SampleOffice
    let drill: String
    /// Between two looks, already divided by the drill's speed.
    let look: Duration
    let tally: DrillTally

    func attend(until isOver: @escaping @Sendable () async -> Bool) async {
        while !Task.isCancelled {
            if await isOver() { break }
            do {
                let page: CityClient.Page<Notice> = try await client.get("/v1/notices?limit=200")
                for notice in page.items where notice.state.awaitsAcknowledgement {
                    let _: CityClient.NoAnswer = try await client.post(
                        "/v1/notices/\(notice.noticeID.uuidString.lowercased())/acknowledge", [String: String](),
                        key: "drill-\(drill)-ack-\(notice.noticeID.uuidString.lowercased())")
                    await tally.stepped("acknowledged")
                }
            } catch {
                await tally.note("office", error)
            }
            try? await Task.sleep(for: look)
        }
    }
}

extension NoticeState {
    fileprivate var awaitsAcknowledgement: Bool {
        switch self {
        case .attempted, .delivered, .escalated, .failed: true
        case .pending, .acknowledged, .withdrawn: false
        }
    }
}
