import FoundationEssentials
import Model
import Rules
import ServiceKit

/// A report that has been found sound: every field has a meaning, and the place is in the city.
struct SoundReport: Sendable {
    var category: CityCache.Category
    var description: String
    var place: Coordinate
    var location: PlaceIndex.Location
    var facilityID: Facility.ID?
    var address: String?
    var observedAt: Timestamp
    var personAtRisk: Bool
    var contact: Contact?
    var language: ReportLanguage
    var channel: ReportChannel
}

/// Turns what a sender said into a sound report, or says everything that is wrong with it at once.
struct ReportCheck: Sendable {
    /// A phone's clock may be ahead by so much.
    static let aheadTolerance: Duration = .seconds(300)
    /// Reports of longer ago are history and not work.
    static let oldest: Duration = .seconds(30 * 86_400)

    let city: CityCache.City
    let store: CityStore

    /// Whether the report could turn out to be an emergency, at the worst of places. What is wrong with it is told by
    /// `check`.
    static func mayBeEmergency(_ input: ReportInput, in city: CityCache.City) -> Bool {
        guard let rule = city.categories[input.category]?.rule else { return false }
        return EmergencyRule.decide(
            category: rule, text: input.description ?? "", placeTags: rule.places, placeVersion: 0,
            personAtRisk: input.personAtRisk ?? false
        ).emergency
    }

    func check(_ input: ReportInput, sender: Sender, now: Timestamp) async throws -> SoundReport {
        var check = Validation()
        let category = city.categories[input.category]
        if category?.stored.isActive != true {
            let codes = city.categories.values.filter(\.stored.isActive).map(\.stored.code).sorted()
            check.add(
                FieldError(
                    "category", code: "unknown_category", "There is no such category.", zh: "没有这个类别。",
                    allowed: codes.count <= 60 ? codes : nil))
        }
        let description = check.text("description", input.description ?? "", 0...2_000)
        if let address = input.address { check.text("address", address, 1...200) }
        let observedAt = input.observedAt ?? now
        check.require(
            observedAt <= now + Self.aheadTolerance, "observed_at", code: "future",
            "This time has not come yet.", zh: "时间晚于当前时间。")
        check.require(
            observedAt >= now - Self.oldest, "observed_at", code: "too_old",
            "Reports may be about the last 30 days.", zh: "只受理30天以内的情况。")
        let contact = checkContact(input.contact, &check)
        let channel = checkChannel(input.channel, sender, &check)
        let found = try await findPlace(input, &check)
        try check.finish()
        guard let category, let found else { throw Problem.internalError }
        return SoundReport(
            category: category, description: description, place: found.place, location: found.location,
            facilityID: found.facility, address: input.address, observedAt: min(observedAt, now),
            personAtRisk: input.personAtRisk ?? false, contact: contact, language: input.language ?? .zh,
            channel: channel)
    }

    // MARK: - Place

    private struct FoundPlace {
        var place: Coordinate
        var location: PlaceIndex.Location
        var facility: Facility.ID?
    }

    private func findPlace(_ input: ReportInput, _ check: inout Validation) async throws -> FoundPlace? {
        if (input.lon == nil) != (input.lat == nil) {
            check.add(
                FieldError(
                    input.lon == nil ? "lon" : "lat", code: "missing", "lon and lat come together.",
                    zh: "lon 与 lat 必须同时提供。"))
            return nil
        }
        var place: Coordinate?
        if let lon = input.lon, let lat = input.lat {
            let before = check.errors.count
            check.range("lon", lon, -180...180)
            check.range("lat", lat, -90...90)
            guard check.errors.count == before else { return nil }
            place = Coordinate(lon: lon, lat: lat)
        }
        let named = [
            place.map { _ in "lon" }, input.facilityCode.map { _ in "facility_code" },
            input.communityCode.map { _ in "community_code" },
        ].compactMap { $0 }
        guard let field = named.first else {
            check.add(
                FieldError(
                    "lon", code: "missing", "Say where: lon and lat, facility_code or community_code.",
                    zh: "请提供位置：lon 和 lat、facility_code 或 community_code。"))
            return nil
        }
        let before = check.errors.count
        if let code = input.facilityCode { check.text("facility_code", code, 1...160) }
        if let code = input.communityCode { check.text("community_code", code, 1...64) }
        guard check.errors.count == before else { return nil }

        var facility: Facility.ID?
        if let code = input.facilityCode {
            guard let known = try await store.facility(code: code) else {
                check.add(
                    FieldError(
                        "facility_code", code: "unknown_facility", "There is no facility with this code.",
                        zh: "没有该编号的设施。"))
                return nil
            }
            facility = known.id
            place = place ?? known.position
        }
        if place == nil, let code = input.communityCode {
            guard let community = city.places.place(code: code), community.level == .community,
                let inside = community.shape.innerPoint
            else {
                check.add(
                    FieldError(
                        "community_code", code: "unknown_community", "There is no community with this code.",
                        zh: "没有该编号的小区。"))
                return nil
            }
            place = inside
        }
        guard let place else { return nil }
        guard let location = city.places.location(of: place) else {
            check.add(
                FieldError(
                    field, code: "outside_city", "This place is outside the city.", zh: "该位置不在本市范围内。"))
            return nil
        }
        return FoundPlace(place: place, location: location, facility: facility)
    }

    // MARK: - People

    private func checkContact(_ input: ReportInput.ContactInput?, _ check: inout Validation) -> Contact? {
        guard let input else { return nil }
        func clean(_ text: String?) -> String? {
            let trimmed = text?.trimmingSpaces()
            return trimmed?.isEmpty == true ? nil : trimmed
        }
        let contact = Contact(name: clean(input.name), phone: clean(input.phone), email: clean(input.email))
        if let name = contact.name { check.text("contact.name", name, 1...80) }
        if let phone = contact.phone {
            let digits = phone.utf8.filter { (0x30...0x39).contains($0) }.count
            check.require(
                (5...20).contains(digits) && phone.utf8.count <= 32
                    && phone.allSatisfy { $0.isASCII && ($0.isNumber || " +-()".contains($0)) },
                "contact.phone", code: "phone", "A telephone number is wanted: digits, spaces, + and -.",
                zh: "应为电话号码：数字、空格、+ 和 -。")
        }
        if let email = contact.email {
            let parts = email.split(separator: "@", omittingEmptySubsequences: false)
            check.require(
                parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && parts[1].contains(".")
                    && email.utf8.count <= 254
                    && email.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F },
                "contact.email", code: "email", "A mail address is wanted.", zh: "应为电子邮件地址。")
        }
        return contact.isEmpty ? nil : contact
    }

    /// What a stranger may say of the way the report came; people of the city may say more.
    private func checkChannel(
        _ input: ReportChannel?, _ sender: Sender, _ check: inout Validation
    ) -> ReportChannel {
        let allowed = sender.channels
        guard let channel = input else { return allowed[0] }
        check.require(
            allowed.contains(channel), "channel", code: "not_allowed",
            "This channel is not open to this sender.", zh: "该渠道不对此上报人开放。", allowed: allowed.map(\.rawValue))
        return channel
    }
}

extension String {
    /// Without spaces, tabs and line breaks at its ends.
    func trimmingSpaces() -> String {
        var rest = self[...]
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
