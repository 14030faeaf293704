// What the app uses of UIKit and of Apple's Foundation, declared after Apple's documentation: where
// there is no Xcode, its sources are held against this. Nothing here runs.
@_exported import Foundation
@_exported import ObjectiveC

// Foundation and the system

public func sysctlbyname(
    _ name: UnsafePointer<CChar>, _ old: UnsafeMutableRawPointer?,
    _ oldLength: UnsafeMutablePointer<Int>?, _ new: UnsafeMutableRawPointer?, _ newLength: Int
) -> Int32 { -1 }

extension ProcessInfo {
    public enum ThermalState {
        case nominal, fair, serious, critical
    }
    public var thermalState: ThermalState { .nominal }
    public var isLowPowerModeEnabled: Bool { false }
}

extension NotificationCenter {
    public func addObserver(
        _ observer: Any, selector: Selector, name: Notification.Name?, object: Any?
    ) {}
}

public func NSStringFromClass(_ aClass: AnyClass) -> String { "" }

// Applications

public func UIApplicationMain(
    _ argc: Int32, _ argv: UnsafeMutablePointer<UnsafeMutablePointer<Int8>?>,
    _ principal: String?, _ delegate: String?
) -> Int32 { 0 }

open class UIResponder: NSObject {}

public class UIApplication: UIResponder {
    public struct LaunchOptionsKey: Hashable {}
    public static let willResignActiveNotification = Notification.Name("")
    public static let didBecomeActiveNotification = Notification.Name("")
    public var isIdleTimerDisabled = false
}

public protocol UIApplicationDelegate: AnyObject {
    func application(
        _ application: UIApplication,
        didFinishLaunchingWithOptions options: [UIApplication.LaunchOptionsKey: Any]?
    ) -> Bool
}

public class UIDevice: NSObject {
    public enum BatteryState { case unknown, unplugged, charging, full }
    public static let current = UIDevice()
    public var isBatteryMonitoringEnabled = false
    public let batteryLevel: Float = -1
    public let batteryState = BatteryState.unknown
}

public class UIScreen: NSObject {
    public static let main = UIScreen()
    public let bounds = CGRect()
}

// Views

public class NSLayoutConstraint: NSObject {
    public class func activate(_ constraints: [NSLayoutConstraint]) {}
}

public class NSLayoutAnchor<Kind>: NSObject {
    public func constraint(
        equalTo: NSLayoutAnchor<Kind>, constant: CGFloat
    ) -> NSLayoutConstraint { NSLayoutConstraint() }
}

public class UILayoutGuide: NSObject {
    public let topAnchor = NSLayoutAnchor<Int>()
    public let leadingAnchor = NSLayoutAnchor<Bool>()
    public let trailingAnchor = NSLayoutAnchor<Bool>()
}

public class UIColor: NSObject {
    public class var white: UIColor { UIColor() }
    @available(iOS 13.0, *)
    public class var systemBackground: UIColor { UIColor() }
}

open class UIView: UIResponder {
    public override init() {}
    public init(frame: CGRect) {}
    public var backgroundColor: UIColor?
    public var translatesAutoresizingMaskIntoConstraints = true
    public let topAnchor = NSLayoutAnchor<Int>()
    public let leadingAnchor = NSLayoutAnchor<Bool>()
    public let trailingAnchor = NSLayoutAnchor<Bool>()
    public let safeAreaLayoutGuide = UILayoutGuide()
    public func addSubview(_ view: UIView) {}
}

public class UIWindow: UIView {
    public var rootViewController: UIViewController?
    public func makeKeyAndVisible() {}
}

public class UILabel: UIView {
    public var text: String?
    public var numberOfLines = 1
}

public class UIProgressView: UIView {
    public enum Style { case `default`, bar }
    public var progress: Float = 0
    public init(progressViewStyle: Style) { super.init() }
}

public class UIControl: UIView {
    public struct Event { public static let touchUpInside = Event(), valueChanged = Event() }
    public struct State { public static let normal = State() }
    public var isEnabled = true
    public func addTarget(_ target: Any?, action: Selector, for events: Event) {}
}

public class UIButton: UIControl {
    public enum ButtonType { case system, custom }
    public init(type: ButtonType) { super.init() }
    public func setTitle(_ title: String?, for state: State) {}
}

public class UIRefreshControl: UIControl {
    public func endRefreshing() {}
}

public class UIStackView: UIView {
    public enum Axis { case horizontal, vertical }
    public var axis = Axis.horizontal
    public var spacing: CGFloat = 0
    public init(arrangedSubviews: [UIView]) { super.init() }
}

// View controllers

public class UINavigationItem: NSObject {
    public var hidesBackButton = false
}

public class UIPopoverPresentationController: NSObject {
    public var sourceView: UIView?
}

open class UIViewController: UIResponder {
    public init(nibName: String?, bundle: Bundle?) {}
    public required init?(coder: NSCoder) {}
    public var title: String?
    public let view: UIView! = UIView()
    public let navigationItem = UINavigationItem()
    public let navigationController: UINavigationController? = nil
    public let popoverPresentationController: UIPopoverPresentationController? = nil
    open func viewDidLoad() {}
    open func viewWillAppear(_ animated: Bool) {}
    open func didReceiveMemoryWarning() {}
    public func present(
        _ controller: UIViewController, animated: Bool, completion: (() -> Void)? = nil
    ) {}
}

public class UINavigationController: UIViewController {
    public init(rootViewController: UIViewController) { super.init(nibName: nil, bundle: nil) }
    public required init?(coder: NSCoder) { super.init(coder: coder) }
    public func pushViewController(_ controller: UIViewController, animated: Bool) {}
}

public class UIActivityViewController: UIViewController {
    public init(activityItems: [Any], applicationActivities: [NSObject]?) {
        super.init(nibName: nil, bundle: nil)
    }
    public required init?(coder: NSCoder) { super.init(coder: coder) }
}

// Tables

public class UITableViewCell: UIView {
    public enum CellStyle { case `default`, subtitle }
    public enum AccessoryType { case none, disclosureIndicator }
    public enum SelectionStyle { case none, `default` }
    public init(style: CellStyle, reuseIdentifier: String?) { super.init() }
    public let textLabel: UILabel? = nil
    public let detailTextLabel: UILabel? = nil
    public var accessoryType = AccessoryType.none
    public var selectionStyle = SelectionStyle.default
}

public class UITableView: UIView {
    public enum Style { case plain, grouped }
    public func reloadData() {}
}

extension IndexPath {
    public var row: Int { self[1] }
}

open class UITableViewController: UIViewController {
    public init(style: UITableView.Style) { super.init(nibName: nil, bundle: nil) }
    public required init?(coder: NSCoder) { super.init(coder: coder) }
    public let tableView: UITableView! = UITableView()
    public var refreshControl: UIRefreshControl?
    open func tableView(_ tableView: UITableView, numberOfRowsInSection section: Int) -> Int { 0 }
    open func tableView(
        _ tableView: UITableView, titleForFooterInSection section: Int
    ) -> String? { nil }
    open func tableView(
        _ tableView: UITableView, cellForRowAt indexPath: IndexPath
    ) -> UITableViewCell { UITableViewCell(style: .default, reuseIdentifier: nil) }
    open func tableView(_ tableView: UITableView, didSelectRowAt indexPath: IndexPath) {}
}
