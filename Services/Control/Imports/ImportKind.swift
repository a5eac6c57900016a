internal import ArgumentParser
internal import Model

/// What is in the file.
enum ImportKind: Sendable, Hashable {
    case facilities(FacilityKind)
    case areas(PlaceLevel)
    case responsibility
}

extension ImportKind: ExpressibleByArgument {
    init?(argument: String) {
        if let kind = FacilityKind(rawValue: argument) {
            self = .facilities(kind)
        } else if let level = PlaceLevel(rawValue: argument) {
            self = .areas(level)
        } else if argument == "responsibility" {
            self = .responsibility
        } else {
            return nil
        }
    }

    static var allValueStrings: [String] {
        PlaceLevel.allCases.map(\.rawValue) + ["responsibility"] + FacilityKind.allCases.map(\.rawValue)
    }
}
