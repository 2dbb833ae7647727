package discovery

// MakeKey makes a cookie key, as every hub does that finds none young enough.
var MakeKey = (*Directory).makeKey

// CookiePrefix is where the keys are.
const CookiePrefix = cookiePrefix
