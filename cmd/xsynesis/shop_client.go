package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What one call of the gateway may take.
const (
	shopTimeout   = 30 * time.Second
	shopMaxAnswer = 16 << 20
)

// shopClient calls a gateway's API for one shop.
type shopClient struct {
	base string
	key  string
	http http.Client
}

func (g gateway) client() *shopClient {
	return &shopClient{base: strings.TrimRight(g.URL, "/"), key: g.Key, http: http.Client{
		Timeout: shopTimeout,
		// The key is for this address and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refusedError is an answer that says no.
type refusedError struct {
	status  int
	code    string
	message string
}

func (e *refusedError) Error() string {
	switch {
	case e.status == http.StatusUnauthorized:
		return "the gateway does not know this API key"
	case e.message == "":
		return fmt.Sprintf("the gateway answered %d", e.status)
	default:
		return fmt.Sprintf("%s (%d %s)", strings.TrimSuffix(e.message, "."), e.status, e.code)
	}
}

// lasting tells whether asking again would only get the same answer.
func lasting(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused) && refused.status < http.StatusInternalServerError && refused.status != http.StatusTooManyRequests
}

func (c *shopClient) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, out)
}

func (c *shopClient) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, body, out)
}

func (c *shopClient) do(ctx context.Context, method, path string, body []byte, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(answer.Body, shopMaxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return refusal(answer.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as a gateway does: %w", c.base, err)
	}
	return nil
}

func refusal(status int, text []byte) error {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &body) // what is not ours has no message
	return &refusedError{status: status, code: body.Error.Code, message: body.Error.Message}
}

// test sends webhook.test to a webhook, and returns the delivery.
func (c *shopClient) test(ctx context.Context, subscription string) (string, error) {
	var made struct {
		ID string `json:"id"`
	}
	err := c.post(ctx, "/api/webhooks/test", map[string]string{"id": subscription}, &made)
	return made.ID, err
}

// redeliver sends a delivery's event again, and returns the new delivery.
func (c *shopClient) redeliver(ctx context.Context, delivery string) (string, error) {
	var made struct {
		ID string `json:"delivery_id"`
	}
	err := c.post(ctx, "/api/webhooks/redeliver", map[string]string{"id": delivery}, &made)
	return made.ID, err
}

// replayWanted asks for what failed to be sent again.
type replayWanted struct {
	Since        time.Time `json:"failed_since"`
	Subscription string    `json:"webhook_subscription_id,omitempty"`
	Rate         int       `json:"rate"`
	DryRun       bool      `json:"dry_run"`
}

// replayProgress is how far a replay has come.
type replayProgress struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Count     int    `json:"count"`
	Done      int    `json:"done"`
	Delivered int    `json:"delivered"`
	Failed    int    `json:"failed"`
}

func (p replayProgress) String() string {
	return fmt.Sprintf("%s: %d of %d sent again, %d delivered, %d failed", p.ID, p.Done, p.Count, p.Delivered, p.Failed)
}

// ended tells that all of it is on its way.
func (p replayProgress) ended() bool { return p.Done >= p.Count }

func (c *shopClient) replayFailed(ctx context.Context, wanted replayWanted) (p replayProgress, err error) {
	err = c.post(ctx, "/api/webhooks/redeliver", wanted, &p)
	return p, err
}

func (c *shopClient) replay(ctx context.Context, replay string) (p replayProgress, err error) {
	err = c.get(ctx, "/api/webhooks/replays/"+url.PathEscape(replay), nil, &p)
	return p, err
}

// subscription is a webhook of the shop.
type subscription struct {
	ID     string `json:"id"`
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// subscriptions are the shop's active webhooks, or the one that is named.
func (c *shopClient) subscriptions(ctx context.Context, only string) ([]subscription, error) {
	var found []subscription
	query := url.Values{"limit": {"100"}}
	for {
		var page struct {
			Data []subscription `json:"data"`
			Next *string        `json:"next_cursor"`
		}
		if err := c.get(ctx, "/api/webhooks/list", query, &page); err != nil {
			return nil, fmt.Errorf("list the webhooks: %w", err)
		}
		for _, s := range page.Data {
			if s.ID == only || only == "" && s.Active {
				found = append(found, s)
			}
		}
		if page.Next == nil {
			break
		}
		query.Set("cursor", *page.Next)
	}
	if only != "" && len(found) == 0 {
		return nil, fmt.Errorf("%s is no webhook of this shop", only)
	}
	return found, nil
}

// shopEvent is one event of the feed, with its bytes.
type shopEvent struct {
	ID         string `json:"id"`
	Type       string `json:"event_type"`
	ResourceID string `json:"resource_id"`
	Payload    struct {
		Status string `json:"status"`
	} `json:"payload"`

	body []byte
}

// feedPage is how many events are asked for at a time.
const feedPage = 100

// events are those that came after one of them. "latest" stands for the newest, which it returns alone.
func (c *shopClient) events(ctx context.Context, after string) ([]shopEvent, error) {
	query := url.Values{"limit": {strconv.Itoa(feedPage)}}
	if after != "" {
		query.Set("after", after)
	}
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := c.get(ctx, "/api/events/list", query, &page); err != nil {
		return nil, err
	}
	out := make([]shopEvent, len(page.Data))
	for i, body := range page.Data {
		if err := json.Unmarshal(body, &out[i]); err != nil {
			return nil, fmt.Errorf("read an event: %w", err)
		}
		out[i].body = body
	}
	return out, nil
}
