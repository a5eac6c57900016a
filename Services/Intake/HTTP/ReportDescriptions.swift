import HTTPTypes
import Model
import Rules
import ServiceKit

/// What `/v1/reports` says of itself; held against the routes by a test.
enum ReportDescriptions {
    static let post = Operation(
        .post, "/v1/reports", "Report something", access: .anyone,
        description: """
            JSON, or multipart/form-data with a part named report (the same JSON, first) and photos after it. The report \
            is in when its JSON has been read; what became of each photo stands in photos. The code is shown here only.
            """,
        parameters: [device],
        body: .of(
            ("application/json", input),
            (
                "multipart/form-data",
                .object([.init("report", input), .init("photo", .string(format: "binary"), required: false)])
            )),
        answers: [.created(receipt, "The report is in.")], idempotent: true)

    static let get = Operation(
        .get, "/v1/reports/{code}", "Follow a report", access: .anyone,
        description: "What is being done about it. Nothing of anybody's person. Merged cases are followed.",
        parameters: [code], answers: [.ok(publicReport)])

    static let postAttachments = Operation(
        .post, "/v1/reports/{code}/attachments", "Add photos to a report", access: .anyone,
        description:
            "At most 6 photos a report, 15 MiB and 50 million pixels each; JPEG, PNG, WebP or HEIC by content.",
        parameters: [code, device],
        body: .of(
            ("multipart/form-data", .object([.init("photo", .string(format: "binary"))])),
            ("image/jpeg", .string(format: "binary")), ("image/png", .string(format: "binary")),
            ("image/webp", .string(format: "binary")), ("image/heic", .string(format: "binary"))),
        answers: [.created(.object([.init("photos", .array(of: photo))]), "The photos are in.")], idempotent: true)

    private static let code = Operation.Parameter.path(
        "code", trackingCode, "The tracking code, with or without dashes.")

    static let trackingCode = Schema.string(minLength: 1, maxLength: 64, pattern: "^[0-9A-Za-z -]{1,64}$")

    /// A text as `Validation.text` accepts it: no control characters but tabs and line breaks.
    static func plain(_ length: ClosedRange<Int>) -> Schema {
        .string(
            minLength: length.lowerBound, maxLength: length.upperBound,
            pattern: #"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F]*$"#)
    }

    static let device = Operation.Parameter(
        "Sluice-Device", .string(minLength: 22, maxLength: 64, pattern: "^[A-Za-z0-9_-]{22,64}$"), in: .header,
        "Random bits that an anonymous client keeps; required from those who are not signed in.")

    private static let input = Schema.object([
        .init("category", .string(minLength: 1, maxLength: 64), "A code of GET /v1/categories."),
        .init("description", plain(0...2_000), required: false),
        .init("lon", .number(minimum: -180, maximum: 180), required: false, "Degrees, CRS84; with lat."),
        .init("lat", .number(minimum: -90, maximum: 90), required: false),
        .init("facility_code", plain(1...160), required: false, "As on the manhole's sign, instead of lon and lat."),
        .init("community_code", plain(1...64), required: false, "As on the notice board, instead of lon and lat."),
        .init("address", plain(1...200), required: false),
        .init("observed_at", .time, required: false, "Now, if not given; at most 30 days ago."),
        .init("person_at_risk", .boolean, required: false),
        .init(
            "contact",
            .object([
                .init("name", plain(0...80), required: false),
                .init("phone", .string(pattern: "^([0-9+() -]{0,6}[0-9]{5,20})?$"), required: false),
                .init("email", .string(maxLength: 254), required: false),
            ]), required: false, "Kept encrypted."),
        .init("language", .word(ReportLanguage.self), required: false),
        .init("channel", .word(ReportChannel.self), required: false),
    ])

    static let name = Schema.object([
        .init("code", .string()), .init("name_zh", .string()), .init("name_en", .string()),
    ])

    private static let reason = Schema.object([
        .init("code", .string()), .init("zh", .string()), .init("en", .string()),
    ])

    private static let photo = Schema.object([
        .init("field", .string()), .init("sha256", .string(), required: false),
        .init("thumbnail_sha256", .string(), required: false),
        .init(
            "refused",
            .object([.init("code", .string()), .init("detail", .string()), .init("detail_zh", .string())]),
            required: false),
    ])

    private static let receipt = Schema.object([
        .init("id", .uuid), .init("code", .string(), "Keep it: it is shown once."), .init("tracking_url", .uri),
        .init("received_at", .time), .init("emergency", .boolean),
        .init("verified", .boolean, "False: a crew waits until somebody confirms it, or a minute."),
        .init("reason", reason, "Why it is an emergency, or not."), .init("category", name),
        .init(
            "place",
            .object([
                .init("lon", .number()), .init("lat", .number()), .init("district", name),
                .init("street", name, required: false), .init("grid", name, required: false),
                .init("community", name, required: false),
            ])), .init("advice", .object([.init("zh", .string()), .init("en", .string())])),
        .init("photos", .array(of: photo)),
    ])

    private static let publicReport = Schema.object([
        .init("received_at", .time), .init("observed_at", .time), .init("category", name),
        .init("emergency", .boolean), .init("reason", reason), .init("state", .string()),
        .init("state_zh", .string()), .init("state_en", .string()),
        .init(
            "case",
            .object([
                .init("number", .string()), .init("state", .word(CaseState.self)), .init("merged", .boolean),
            ]), required: false), .init("photos", .integer(minimum: 0)),
        .init(
            "timeline",
            .array(
                of: .object([
                    .init("at", .time), .init("fact", .string()), .init("zh", .string()), .init("en", .string()),
                ]))),
    ])
}
