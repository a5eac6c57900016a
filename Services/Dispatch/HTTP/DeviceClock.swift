import HTTPTypes
import Hummingbird
import Model
import ServiceKit

extension HTTPField.Name {
    // A well-formed literal, so the initialiser cannot answer nil.
    static let sluiceDeviceClock = Self("Sluice-Device-Clock")!
}

extension Request {
    /// What the phone's clock says as it sends. A body is sent again as it was made, under the fingerprint of its key, so
    /// the clock in it may be old; the header is made anew with each try, and is the one to believe.
    ///
    /// Throws a `Problem` (422) for a header that is no time, or none of these days.
    func deviceClock(or body: Timestamp?, now: Timestamp) throws -> Timestamp? {
        guard let text = headers[.sluiceDeviceClock] else { return body }
        let field = HTTPField.Name.sluiceDeviceClock.rawName
        guard let clock = Timestamp(text) else {
            throw Problem.invalid(field, code: "form", "An RFC 3339 time is wanted.", zh: "应为 RFC 3339 时间。")
        }
        var check = Validation()
        check.recent(field, clock, now: now)
        try check.finish()
        return clock
    }
}

extension Operation.Parameter {
    static let deviceClock = Operation.Parameter(
        "Sluice-Device-Clock", .time, in: .header,
        "The phone's clock as it sends, made anew with each try; it wins over `device_clock`.")
}
