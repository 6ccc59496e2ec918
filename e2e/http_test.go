package e2e

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// answer is an HTTP response, read to its end.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// plainClient follows nothing and remembers nothing.
var plainClient = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends one request; headers are names and values in turn.
func (w *world) do(t testing.TB, method, url, body string, headers ...string) answer {
	t.Helper()
	a, err := w.send(t.Context(), method, url, body, headers...)
	require.NoError(t, err)
	return a
}

// send is [world.do] for goroutines other than the test's.
func (w *world) send(ctx context.Context, method, url, body string, headers ...string) (answer, error) {
	if strings.HasPrefix(url, "/") {
		url = w.BaseURL + url
	}
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := plainClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, errors.Join(err, response.Body.Close())
}

// together sends requests at the same moment: each is a URL, and the name and value of a header.
func (w *world) together(t testing.TB, requests ...[3]string) []answer {
	t.Helper()
	answers := make([]answer, len(requests))
	var sending errgroup.Group
	for i, r := range requests {
		sending.Go(func() (err error) {
			answers[i], err = w.send(t.Context(), http.MethodGet, r[0], "", r[1], r[2])
			return err
		})
	}
	require.NoError(t, sending.Wait())
	return answers
}

// get asks as a program does.
func (w *world) get(t testing.TB, url string, headers ...string) answer {
	t.Helper()
	return w.do(t, http.MethodGet, url, "", headers...)
}

const formType = "application/x-www-form-urlencoded"

// sends posts a form with cookies, as a browser without scripts does.
func (w *world) sends(t testing.TB, path string, fields url.Values, cookies ...string) answer {
	t.Helper()
	return w.do(t, http.MethodPost, path, fields.Encode(), "Accept", "text/html",
		"Content-Type", formType, "Cookie", strings.Join(cookies, "; "))
}

// cookie is one that an answer sets.
func (a answer) cookie(t testing.TB, name string) string {
	t.Helper()
	for _, line := range a.Header.Values("Set-Cookie") {
		if set, _, _ := strings.Cut(line, ";"); strings.HasPrefix(set, name+"=") {
			return set
		}
	}
	require.Fail(t, "no cookie "+name, "%d %s", a.Status, a.Body)
	return ""
}

// found is the first part of a page's text that an expression captures.
func (a answer) found(t testing.TB, expression string) string {
	t.Helper()
	parts := regexp.MustCompile(expression).FindStringSubmatch(a.Body)
	require.NotNil(t, parts, "%s is not in %d %s", expression, a.Status, a.Body)
	return parts[1]
}

// call makes an API call with the seller's key, and reads its answer into out.
func (w *world) call(t testing.TB, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	a := w.do(t, http.MethodPost, path, string(body), "Authorization", "Bearer "+w.APIKey, "Content-Type", "application/json")
	require.Less(t, a.Status, 300, a.Body)
	require.NoError(t, json.Unmarshal([]byte(a.Body), out))
}

// errorCode is the code of an answer in the API's form.
func (a answer) errorCode(t testing.TB) string {
	t.Helper()
	var body struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &body), a.Body)
	require.NotEmpty(t, body.Error.Message)
	return body.Error.Code
}

// link is a payment link as the API tells of it.
type link struct {
	ID    string `json:"id"`
	Token string `json:"token"`
	URL   string `json:"url"`
	Title string `json:"title"`
	Price string `json:"price"`
}

// newLink puts something on sale, by the API.
func (w *world) newLink(t testing.TB, title, price string) link {
	t.Helper()
	var l link
	w.call(t, "/api/payment_links/create", map[string]any{"title": title, "price": price}, &l)
	return l
}

func (w *world) expire(t testing.TB, l link) {
	t.Helper()
	w.call(t, "/api/payment_links/expire", map[string]any{"id": l.ID}, &struct{}{})
}

// sale is a row of the export, by the names of its columns.
type sale map[string]string

// sales are the rows of the export that a column holds this value in.
func (w *world) sales(t testing.TB, column, value string) []sale {
	t.Helper()
	a := w.get(t, "/api/sales.csv", "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	table, err := csv.NewReader(strings.NewReader(a.Body)).ReadAll()
	require.NoError(t, err)
	var rows []sale
	for _, record := range table[1:] {
		row := sale{}
		for i, name := range table[0] {
			row[name] = record[i]
		}
		if row[column] == value {
			rows = append(rows, row)
		}
	}
	return rows
}

// payTo is where the café's buyers pay: its money is kept for it at an address of its own.
func (w *world) payTo(t testing.TB) string {
	t.Helper()
	a := w.get(t, "/api/balance", "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var list struct {
		Data []struct {
			DepositAddress string `json:"deposit_address"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list), a.Body)
	require.Len(t, list.Data, 1)
	require.NotEmpty(t, list.Data[0].DepositAddress)
	return list.Data[0].DepositAddress
}
