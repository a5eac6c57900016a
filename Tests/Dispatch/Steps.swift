import Foundation
import Model

/// Bodies of `POST /v1/orders/{id}/steps`.
enum Steps {
    static func step(
        _ kind: String, id: UUID = UUID(), at: Timestamp = .init(secondsSince1970: Date().timeIntervalSince1970),
        basedOn: Int = 1, note: String? = nil
    ) -> String {
        let note = note.map { ",\"note\":\"\($0)\"" } ?? ""
        return """
            {"id":"\(id)","kind":"\(kind)","observed_at":"\(at)","based_on":\(basedOn)\(note)}
            """
    }

    static func body(_ steps: [String], device: String? = nil, clock: Timestamp? = nil) -> String {
        let phone = device.map { "\"device\":\"\($0)\"," } ?? ""
        let clock = clock.map { "\"device_clock\":\"\($0)\"," } ?? ""
        return "{\(phone)\(clock)\"steps\":[\(steps.joined(separator: ","))]}"
    }
}
