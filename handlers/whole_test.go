package handlers_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// trickle is a request whose body comes slowly.
type trickle struct {
	t    *testing.T
	conn net.Conn
	body *bufio.Reader
}

// begins sends the head of a form's request, and waits until the server asks for the rest.
func (w *apiWorld) begins(path string, length string, browser with) trickle {
	w.t.Helper()
	server := httptest.NewServer(w.echo)
	w.t.Cleanup(server.Close)
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	head := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, site+path, nil)
	browser(head)
	head.Header.Set("Expect", "100-continue")
	var text strings.Builder
	text.WriteString("POST " + path + " HTTP/1.1\r\nHost: shop.example\r\n" + length + "\r\n")
	require.NoError(w.t, head.Header.Write(&text))
	_, err = io.WriteString(conn, text.String()+"\r\n")
	require.NoError(w.t, err)
	s := trickle{w.t, conn, bufio.NewReader(conn)}
	line, err := s.body.ReadString('\n')
	require.NoError(w.t, err)
	require.Contains(w.t, line, "100 Continue", "the server waits for the body")
	_, err = s.body.ReadString('\n')
	require.NoError(w.t, err)
	return s
}

func (s trickle) ends(body string) *http.Response {
	s.t.Helper()
	_, err := io.WriteString(s.conn, body)
	require.NoError(s.t, err)
	answer, err := http.ReadResponse(s.body, nil)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func TestWhoIsSentAwayWhileHisRequestTricklesInIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, merchant := w.signIn("kiosk")
	boss := w.ownerOf(merchant)
	mia, person := w.joined(boss, access.Manager, "Mia")
	form := url.Values{"name": {"back door"}, "scope": {"links:read"}, "expires": {"90"}}.Encode()
	request := w.begins("/dashboard/settings/keys", "Content-Length: "+strconv.Itoa(len(form)), mia)

	require.NoError(t, w.access.Remove(t.Context(), boss, access.Browser{}, person))
	answer := request.ends(form)
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Contains(t, answer.Header.Get("Location"), "/login")
	keys, err := w.access.Keys(t.Context(), merchant, false)
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestARevokedKeyDoesNothingThoughItsRequestBeganBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, merchant := w.signIn("kiosk")
	boss := w.ownerOf(merchant)
	made, secret, err := w.access.MakeKey(t.Context(), merchant, access.KeyForm{Name: "till", Scopes: []access.Scope{access.LinksWrite}}, actorOfTests)
	require.NoError(t, err)
	body := `{"title":"x","price":"1"}`
	request := w.begins("/api/payment_links/create", "Content-Length: "+strconv.Itoa(len(body)), as(secret))
	require.NoError(t, w.access.RevokeKey(t.Context(), boss.Merchant, false, made.ID, actorOfTests))
	require.Equal(t, http.StatusUnauthorized, request.ends(body).StatusCode)
}

func TestABodyWithoutALengthIsNoLargerThanOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := w.begins("/login/codes", "Transfer-Encoding: chunked", page)
	chunk := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"
	require.Equal(t, http.StatusRequestEntityTooLarge, request.ends(strings.Repeat(chunk, 5)+"0\r\n\r\n").StatusCode)
}

func TestATillIsUnlockedByNobodyWhoIsNoPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, merchant := w.signIn("kiosk")
	code, _, err := w.access.StartPairing(t.Context(), w.ownerOf(merchant), access.Browser{}, "Counter")
	require.NoError(t, err)
	paired := w.sends("/pos/pairings", url.Values{"code": {code}})
	require.Equal(t, http.StatusSeeOther, paired.status, string(paired.body))
	tablet := header("Cookie", strings.SplitN(paired.header.Get("Set-Cookie"), ";", 2)[0])
	for _, person := range []string{"", "x", "\x00", "\xff", "usr_1ChHQgZvF7Y4JLiQa34ooR", "usr_1ChHQgZvF7Y4JLiQa34oo\x00"} {
		require.Equal(t, http.StatusNotFound, w.sends("/pos/unlock", url.Values{"person": {person}, "pin": {"4921"}}, tablet).status, "%q", person)
	}
}
