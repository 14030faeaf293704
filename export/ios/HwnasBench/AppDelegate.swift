import UIKit

final class AppDelegate: UIResponder, UIApplicationDelegate {
    var window: UIWindow?

    func application(
        _ application: UIApplication,
        didFinishLaunchingWithOptions options: [UIApplication.LaunchOptionsKey: Any]?
    ) -> Bool {
        CoreMLEngine.removeLeftovers()
        // A screen that goes dark takes the processor's clock with it, and then the app.
        application.isIdleTimerDisabled = true
        UIDevice.current.isBatteryMonitoringEnabled = true
        let window = UIWindow(frame: UIScreen.main.bounds)
        let bundles = BundlesViewController(style: .grouped)
        window.rootViewController = UINavigationController(rootViewController: bundles)
        window.makeKeyAndVisible()
        self.window = window
        return true
    }
}
