import Model
import Testing

@testable import ControlCommands

@Suite("The sample city")
struct SampleCityTests {
    @Test("has three districts, twelve streets, 24 grids, 60 communities of all six types")
    func size() throws {
        let city = try SampleCity()
        let levels = Dictionary(grouping: city.map.areas, by: \.level).mapValues(\.count)
        #expect(levels == [.district: 3, .street: 12, .grid: 24, .community: 60, .special: 24])
        #expect(Set(city.map.areas.compactMap(\.communityType)).count == 6)
        #expect(city.crews.count == 24)
        #expect(city.categories.count >= 14)
        #expect(city.offices.count == 15)
        #expect(city.recipients.count == 30)
    }

    @Test("is the same every time")
    func fixed() throws {
        #expect(try SampleCity().map.areas.map(\.areaId) == SampleCity().map.areas.map(\.areaId))
        #expect(try SampleCity().facilities.map(\.geometry) == SampleCity().facilities.map(\.geometry))
    }

    @Test("no two things share an id, a code or a login")
    func unique() throws {
        let city = try SampleCity()
        let ids =
            city.map.areas.map(\.areaId) + city.crews.map(\.crewId) + city.accounts.map(\.accountId)
            + city.offices.map(\.officeId) + city.facilities.map(\.facilityId)
            + city.responsibilities.map(\.responsibilityId) + city.recipients.map(\.recipientId)
        #expect(Set(ids).count == ids.count)
        #expect(Set(city.accounts.map(\.login)).count == city.accounts.count)
        #expect(Set(city.map.areas.map { "\($0.level)\($0.code)" }).count == city.map.areas.count)
        #expect(Set(city.categories.map(\.code)).count == city.categories.count)
    }

    @Test("has an account for every role and the skills that its categories ask for in every district")
    func people() throws {
        let city = try SampleCity()
        #expect(Set(city.accounts.flatMap(\.roles)) == [.admin, .manager, .dispatcher, .office, .crew, .system])
        let demands = Set(city.categories.map { Set($0.skills) })
        for district in Set(city.crews.map(\.districtId)) {
            let crews = city.crews.filter { $0.districtId == district }
            for demand in demands {
                #expect(crews.contains { demand.isSubset(of: $0.skills) }, "\(demand)")
            }
        }
    }

    @Test("every name of a place says that it is a sample")
    func marked() throws {
        for area in try SampleCity().map.areas where area.level != .grid {
            #expect(area.nameZh.hasSuffix("（样例）") && area.nameEn.hasSuffix("(sample)"))
        }
    }

    @Test("its streets bear the codes and names of the shipped list")
    func streets() throws {
        let table = CSVTable(try SampleFiles.text("streets.csv"))
        let known = Set(
            table.rows.compactMap { row in
                table.field("code", of: row).flatMap { code in table.field("name", of: row).map { code + $0 } }
            })
        for street in SampleNames.districts.flatMap(\.streets) { #expect(known.contains(street.code + street.zh)) }
    }
}
