import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import NotificationService

/// Each query of a big table, explained as the role that runs it and under the scope that it runs in.
@Suite("Plans on big tables", .serialized, .timeLimit(.minutes(5)))
struct PlanTests {
    private static let district = BigCity.district(3)
    private static let office = BigCity.id("f", 13)

    @Test("what people look at and answer")
    func people() async throws {
        try await BigCity.with(.notification) { city in
            let notice = Notice.ID(
                try await city.one(
                    "SELECT notice_id FROM notification.notice WHERE district_id = '\(Self.district)' LIMIT 1"))
            let caseID = Case.ID(
                try await city.one("SELECT case_id FROM notification.notice WHERE notice_id = '\(notice)'"))
            let districts = [Self.district.rawValue]
            let person = Recipient.ID(BigCity.id("8", 13))
            func list(_ change: (inout NoticeViews.Filter) -> Void = { _ in }) -> SQL {
                var filter = NoticeViews.Filter(districts: districts)
                change(&filter)
                return NoticeViews.list(filter, before: nil, limit: 50)
            }
            let statements =
                [
                    list(), list { $0.offices = [Self.office] }, list { $0.emergency = true },
                    list { $0.state = .delivered }, list { $0.caseID = caseID },
                    list { ($0.caseID, $0.offices) = (caseID, [Self.office]) },
                    NoticeViews.list(.init(districts: districts), before: notice.rawValue, limit: 50),
                    NoticeStore.lock(notice),
                    NoticeStore.acknowledge(notice, by: "test", name: "Test", at: city.stage.context.sources.now()),
                    NoticeStore.calm(case: caseID, upTo: 1), NoticeStore.findLink("kid-0000000000000123"),
                    OfficeStore.offices(of: Account.ID(BigCity.id("a", 13))),
                    OfficeStore.list(districts: districts, after: nil, limit: 50),
                    OfficeStore.channels(districts: districts, after: nil, limit: 50),
                    OfficeStore.channel(BigCity.id("9", 13)), OfficeStore.recipient(person),
                    ChannelStore.lock(BigCity.id("9", 13)), ChannelStore.takeBack(from: BigCity.id("9", 13)),
                    RecipientStore.list(of: Office.ID(Self.office), after: nil, limit: 50),
                    RecipientStore.update(person, of: Office.ID(Self.office), version: 1, .init(active: false)),
                ] + RecipientStore.takeBack(from: person)
                + NoticeViews.one(notice, districts: districts, offices: nil)
                + NoticeViews.one(notice, districts: districts, offices: [Self.office])
            let http = city.stage.context.http
            try expectGoodPlans(
                try await city.plans(of: statements, on: http, scope: .districts(districts)), of: statements.count,
                in: city, role: "sluice_notification_http")
            let ofCity =
                [
                    NoticeViews.list(.init(), before: nil, limit: 50),
                    NoticeViews.list(.init(caseID: caseID), before: nil, limit: 50),
                ] + NoticeViews.one(notice, districts: nil, offices: nil)
            try expectGoodPlans(
                try await city.plans(of: ofCity, on: http, scope: .city), of: ofCity.count, in: city,
                role: "sluice_notification_http")
        }
    }

    @Test("telling, sending, escalating")
    func background() async throws {
        try await BigCity.with(.notification) { city in
            let notice = try await city.one("SELECT notice_id FROM notification.notice LIMIT 1")
            let caseID = try await city.one("SELECT case_id FROM notification.notice WHERE notice_id = '\(notice)'")
            let delivery = try await city.one(
                "SELECT delivery_id FROM notification.delivery WHERE state = 'waiting' LIMIT 1")
            let room = UnderWay().room
            let lease = UUID()
            let now = city.stage.context.sources.now()
            let statements =
                [
                    NoticeStore.held([caseID]), NoticeStore.told([caseID]), NoticeStore.toEscalate(limit: 50),
                    NoticeStore.escalated([notice]),
                    DeliveryStore.claim(emergency: true, lease: lease, seconds: 60, room: room),
                    DeliveryStore.claim(emergency: false, lease: lease, seconds: 60, room: room),
                    DeliveryStore.claim(
                        emergency: true, lease: lease, seconds: 60,
                        room: UnderWay.Room(kinds: [.mail], busy: [BigCity.id("9", 13)], limit: 4)),
                    DeliveryStore.firstAttempt([notice], at: now),
                    DeliveryStore.again(delivery, lease: lease, pause: .seconds(1)),
                    DeliveryStore.facts(Case.ID(caseID), district: Self.district),
                    "SELECT notification.purge_canaries(clock_timestamp() - interval '2 minutes')",
                ] + NoticeStore.withdraw([notice])
                + DeliveryStore.delivered(delivery, lease: lease, notice: Notice.ID(notice))
                + DeliveryStore.failed(delivery, lease: lease, notice: Notice.ID(notice))
            try expectGoodPlans(
                try await city.plans(of: statements, on: city.stage.context.background, scope: .all),
                of: statements.count, in: city, role: "sluice_notification_bg")
        }
    }
}
