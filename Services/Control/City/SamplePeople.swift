internal import FoundationEssentials
internal import Model

/// Who answers for an area, from the beginning of 2026 on.
struct SampleResponsibility: Encodable {
    var responsibilityId: UUID
    var areaId: UUID
    var districtId: UUID
    var personId: UUID
    var personName: String

    /// One person an area; special places have none of their own.
    static func all(for areas: [SampleMap.Area]) -> [SampleResponsibility] {
        areas.filter { $0.level != .special }.enumerated().map { index, area in
            SampleResponsibility(
                responsibilityId: SampleID.make("responsibility", area.code), areaId: area.areaId,
                districtId: area.districtId, personId: SampleID.make("person", area.code),
                personName: SampleNames.person(index))
        }
    }
}

/// People with a vehicle: eight crews a district.
struct SampleCrew: Encodable {
    var crewId: UUID
    var districtId: UUID
    var name: String
    var vehicle: String
    var skills: [String]
    var depotLon: Double
    var depotLat: Double
    var login: String
    var accountId: UUID

    static let perDistrict = 8

    static func all(on map: SampleMap) -> [SampleCrew] {
        let ordinals = ["一", "二", "三", "四", "五", "六", "七", "八"]
        return SampleNames.districts.enumerated().flatMap { index, district in
            (0..<perDistrict).map { number in
                let login = "crew-\(district.slug)-\(number + 1)"
                // One depot a grid: each grid of a district has a crew near by.
                let depot = map.place(index * 4 + number % 4, number / 4, 0.04, 0.5)
                return SampleCrew(
                    crewId: SampleID.make("crew", login), districtId: SampleID.make("district", district.code),
                    name: "\(district.short)排水\(ordinals[number])班" + SampleNames.markZh,
                    vehicle: ["吸污车", "抽水车", "抢修车", "巡查车"][number % 4] + "（样\(index + 1)\(number + 1)）",
                    skills: skills(number), depotLon: (depot.lon * 1e6).rounded() / 1e6,
                    depotLat: (depot.lat * 1e6).rounded() / 1e6, login: login,
                    accountId: SampleID.make("account", login))
            }
        }
    }

    /// Every crew can inspect and one thing more; every second can pump, so that a storm finds hands.
    private static func skills(_ number: Int) -> [String] {
        var skills = ["inspection", ["dredging", "pumping", "repair", "water_quality"][number % 4]]
        if number % 2 == 0 { skills.append("pumping") }
        if number >= 4 { skills.append(number % 2 == 0 ? "repair" : "dredging") }
        return skills
    }
}

/// Who signs in.
struct SampleAccount: Encodable {
    var accountId: UUID
    var login: String
    var displayName: String
    var roles: [Role]
    /// The whole city is the city's own id.
    var districts: [UUID]

    static func all(crews: [SampleCrew], offices: [SampleOffice]) -> [SampleAccount] {
        let city = [District.city.rawValue]
        func account(_ login: String, _ name: String, _ role: Role, _ districts: [UUID]) -> SampleAccount {
            SampleAccount(
                accountId: SampleID.make("account", login), login: login, displayName: name + SampleNames.markZh,
                roles: [role], districts: districts)
        }
        return [
            account("admin", "系统管理员", .admin, city),
            account("manager", "市排水处", .manager, city),
            account("dispatcher", "市调度员", .dispatcher, city),
            account("system", "系统接入", .system, city),
        ]
            + SampleNames.districts.flatMap { district in
                let id = [SampleID.make("district", district.code)]
                return [
                    account("dispatcher-\(district.slug)", "\(district.short)调度员", .dispatcher, id),
                    account("manager-\(district.slug)", "\(district.short)管理所", .manager, id),
                ]
            }
            + offices.map {
                account($0.login, $0.nameZh.replacing(SampleNames.markZh, with: ""), .office, [$0.districtId])
            }
            + crews.map { account($0.login, $0.name.replacing(SampleNames.markZh, with: ""), .crew, [$0.districtId]) }
    }
}

/// The government's office for a street, or for a whole district: what no street covers.
struct SampleOffice: Encodable {
    var officeId: UUID
    /// Nil for a district's office.
    var streetId: UUID?
    var districtId: UUID
    var nameZh: String
    var nameEn: String
    var login: String
    var accountId: UUID
    var slug: String

    static let all: [SampleOffice] = SampleNames.districts.flatMap { district in
        let id = SampleID.make("district", district.code)
        return district.streets.map { street in
            SampleOffice(
                code: street.code, street: SampleID.make("street", street.code), district: id, slug: street.slug,
                zh: "\(street.zh)办事处", en: "\(street.en) Subdistrict Office")
        } + [
            SampleOffice(
                code: district.code, street: nil, district: id, slug: "\(district.slug)-district",
                zh: "\(district.zh)三防指挥部", en: "\(district.en) Flood Control Office")
        ]
    }

    private init(code: String, street: UUID?, district: UUID, slug: String, zh: String, en: String) {
        officeId = SampleID.make("office", code)
        streetId = street
        districtId = district
        nameZh = zh + SampleNames.markZh
        nameEn = en + SampleNames.markEn
        login = "office-\(slug)"
        accountId = SampleID.make("account", login)
        self.slug = slug
    }
}

/// Who is told: somebody on duty, and somebody else when nobody acknowledges in time.
struct SampleRecipient: Encodable {
    var recipientId: UUID
    var officeId: UUID
    var districtId: UUID
    /// 1 is told first.
    var level: Int
    var accountId: UUID?
    var name: String
    /// Lands in the demonstration mailbox; the domain exists nowhere (RFC 6761).
    var mail: String
    var channelId: UUID

    static func all(for offices: [SampleOffice]) -> [SampleRecipient] {
        offices.enumerated().flatMap { index, office in
            (1...2).map { level in
                SampleRecipient(
                    recipientId: SampleID.make("recipient", "\(office.slug)-\(level)"), officeId: office.officeId,
                    districtId: office.districtId, level: level, accountId: level == 1 ? office.accountId : nil,
                    name: SampleNames.person(100 + index * 2 + level),
                    mail: (level == 1 ? "duty" : "chief") + "-\(office.slug)@sluice.test",
                    channelId: SampleID.make("channel", "\(office.slug)-\(level)"))
            }
        }
    }
}
