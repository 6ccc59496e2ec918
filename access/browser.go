package access

import "strings"

// deviceName is what a browser's name says of the device that it runs on, for people to tell theirs apart.
func deviceName(userAgent string) string {
	for _, d := range []struct{ sign, name string }{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Macintosh", "Mac"}, {"Windows", "Windows"},
		{"CrOS", "Chromebook"}, {"Linux", "Linux"},
	} {
		if strings.Contains(userAgent, d.sign) {
			return d.name
		}
	}
	return "This device"
}

// BrowserName is "Firefox on Windows", as far as its user agent says so.
func BrowserName(userAgent string) string {
	for _, b := range []struct{ sign, name string }{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"SamsungBrowser/", "Samsung Internet"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	} {
		if strings.Contains(userAgent, b.sign) {
			return b.name + " on " + deviceName(userAgent)
		}
	}
	return "An unknown browser"
}
