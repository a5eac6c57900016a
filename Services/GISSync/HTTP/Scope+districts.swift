import FoundationEssentials
import Model
import Postgres
import ServiceKit

extension DistrictScope {
    /// What the queries of this service name besides row-level security: nil is the whole city.
    var named: [UUID]? {
        switch self {
        case .all, .city: nil
        case .districts(let ids): ids
        case .none: []
        }
    }
}
