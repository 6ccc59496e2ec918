package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// weatherServer is a seller's server for programs. It ends with the test.
func weatherServer(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Station", "Blindern")
		_, _ = w.Write([]byte(`{"city":"Oslo","rain":false,"celsius":7}`))
	}))
	t.Cleanup(s.Close)
	return s
}

// calls fills the café's paid APIs, and returns their pages.
func (p *people) calls(t *testing.T) []look {
	t.Helper()
	server := weatherServer(t)
	weather := p.newEndpoint(t, server.URL+"/weather", map[string]any{
		"title": "Weather, three days", "description": "For any city of the world.", "example_input": map[string]any{"city": "Oslo"},
		"example_output": map[string]any{"city": "Oslo", "rain": false}, "mime_type": "application/json", "secret_header": "X-Api-Key", "secret": "only the gateway knows",
	})
	p.newEndpoint(t, server.URL+"/tides", map[string]any{"title": "Tide tables", "pricing_type": "one_time", "price": "2.00", "settle": "first"})
	stock := p.newEndpoint(t, server.URL+"/beans", map[string]any{"title": "Green coffee prices", "pricing_type": "subscription", "billing_interval": "month", "price": "0.09"})
	for range 3 {
		name, value := p.paymentFor(t, stock.EndpointURL)
		require.Equal(t, http.StatusOK, p.get(t, stock.EndpointURL, name, value).Status)
		name, value = p.paymentFor(t, weather.EndpointURL)
		require.Equal(t, http.StatusOK, p.get(t, weather.EndpointURL, name, value).Status)
	}
	at := func(name, path string, steps func(*visitor)) look {
		return look{name: name, path: path, status: http.StatusOK, cookies: []string{p.owner}, steps: steps}
	}
	one := "/dashboard/endpoints/" + weather.ID
	return []look{
		at("paid APIs", "/dashboard/endpoints", nil),
		at("new paid API", "/dashboard/endpoints/new", nil),
		at("paid API", one, nil),
		at("paid API form", one+"/edit", func(v *visitor) {
			for _, fold := range []string{"Limits", "Secret for your server"} {
				v.press(v.Locator("summary").GetByText(fold))
			}
		}),
		at("trial, to be made", one+"/trial", nil),
		at("trial", one+"/trial", tried),
		at("passes", "/dashboard/endpoints/passes", nil),
		at("passes of one API, none", "/dashboard/endpoints/passes?endpoint="+weather.ID, nil),
	}
}

// tried calls the weather and pays.
func tried(v *visitor) {
	v.fill("What follows the address, optional", "/oslo?days=2")
	v.press(v.button("Call and pay 0.05"))
	v.says("Paid 0.05 USDC, and answered: 200 OK.")
}

// takeCallScreenshots shows where a seller puts a price on an API, and tries it.
func (p *people) takeCallScreenshots(t *testing.T, looks []look) {
	pictures := map[string]string{"paid APIs": "endpoints", "paid API": "endpoint", "paid API form": "endpoint-form", "trial": "endpoint-trial", "passes": "passes"}
	for _, l := range looks {
		picture, ok := pictures[l.name]
		if !ok {
			continue
		}
		for suffix, d := range map[string]device{"": desktop, "-phone": portrait} {
			v := l.visitor(t, p.gallery, d)
			_, err := v.Evaluate(`() => scrollTo(0, 0)`)
			require.NoError(t, err)
			v.shot(picture + suffix)
		}
	}
}

// A seller puts an API on sale and tries it, with scripts and without: the test wallet pays, and every header is there.
func TestASellerTriesHisOwnPaidAPI(t *testing.T) {
	t.Parallel()
	w, server := sharedWorld(t), weatherServer(t)
	for name, device := range map[string]device{"with scripts": desktop, "without": without(desktop)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := signedIn(t, w, device)
			v.open("/dashboard/endpoints/new")
			v.fill("Address on your server", server.URL+"/"+url.PathEscape(name))
			v.fill("What you call it", "Weather "+name)
			v.fill("Price", "0.03")
			v.press(v.button("Put it on sale"))
			v.sees(v.heading("Weather " + name))
			v.press(v.link("Try it"))
			v.press(v.button("Call and pay 0.03"))
			v.says("Paid 0.03 USDC, and answered: 200 OK.")
			for _, text := range []string{"Payment-Required: ", "Payment-Signature: ", "Payment-Response: ", "X-Station: Blindern", `"rain":false`} {
				v.says(text)
			}
			v.press(v.link("Weather " + name))
			v.sees(v.Locator(".attempt-rows").GetByText("Paid"))
		})
	}
}
