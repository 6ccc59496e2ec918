package checkout_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/big"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/egress"
	"xsynesis/shop"
	"xsynesis/vault"
	"xsynesis/x402"
)

// paidAPI is an endpoint of a test's shop, and the seller's server behind it.
type paidAPI struct {
	*testShop
	endpoints *shop.Endpoints
	endpoint  shop.Endpoint
	offer     shop.Offer
	asked     atomic.Int32 // how often the seller's server was
	answers   func(ctx context.Context) (checkout.Answer, error)
}

func newAPI(t *testing.T, p plan, f shop.EndpointForm) *paidAPI {
	t.Helper()
	s := newShopWith(t, p)
	sealed, err := vault.New(masterKey)
	require.NoError(t, err)
	a := &paidAPI{testShop: s, endpoints: shop.NewEndpoints(s.shop, egress.New(egress.Options{Own: publicURL}), sealed)}
	a.answers = func(context.Context) (checkout.Answer, error) {
		return checkout.Answer{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"rain":false}`)}, nil
	}
	if f.URL == "" {
		f.URL = "https://api.example/weather"
	}
	if f.Price == 0 {
		f.Price = price
	}
	a.endpoint, err = a.endpoints.Create(t.Context(), s.merchant, false, f, ada)
	require.NoError(t, err)
	a.reload(t)
	return a
}

func (a *paidAPI) reload(t *testing.T) {
	t.Helper()
	var err error
	a.endpoint, a.offer, err = a.endpoints.Offered(t.Context(), a.endpoint.ID)
	require.NoError(t, err)
}

func (a *paidAPI) resource() x402.Resource {
	return x402.Resource{URL: publicURL + "/x/" + string(a.endpoint.ID), Description: "Weather"}
}

// calling is a call with a payment of this buyer's.
func (a *paidAPI) calling(t *testing.T) checkout.Calling {
	t.Helper()
	want := a.checkout.CallRequirement(a.offer, a.resource())
	p := signed(t, 2, want, x402.Authorization{
		From: addressOf(a.buyer), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(a.clock.now().Add(shop.OfferTime).Unix()), Nonce: randomHash(),
	}, a.buyer)
	return checkout.Calling{
		Endpoint: a.endpoint, Offer: a.offer, Resource: a.resource(), Payment: p, Request: sha256.Sum256([]byte("GET /")),
		Upstream: func(ctx context.Context, _ checkout.Paying) (checkout.Answer, error) {
			a.asked.Add(1)
			return a.answers(ctx)
		},
	}
}

// free wants that nothing was charged for anything, and that nothing is under way.
func (a *paidAPI) free(t *testing.T) {
	t.Helper()
	require.Zero(t, a.received(t))
	require.Zero(t, a.count(t, `SELECT count(*) FROM settlements`))
	require.Zero(t, a.count(t, `SELECT count(*) FROM claims WHERE released_at IS NULL`))
	require.Zero(t, a.count(t, `SELECT count(*) FROM attempts WHERE status <> 'cancelled'`))
}

func TestACallIsAnsweredOnceItIsPaid(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	c := a.calling(t)
	a.answers = func(context.Context) (checkout.Answer, error) {
		require.Zero(t, a.count(t, `SELECT count(*) FROM settlements`), "money is asked for before the answer")
		return checkout.Answer{Status: 200, Header: http.Header{"X-Weather": {"dry"}}, Body: []byte("dry")}, nil
	}
	called, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "dry", string(called.Answer.Body))
	a.soldOnce(t, called.Purchase)
	require.Equal(t, string(a.endpoint.ID), called.Purchase.Lines[0].ItemID)

	again, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, called.Answer, again.Answer)
	require.Equal(t, called.Purchase.ID, again.Purchase.ID)
	require.EqualValues(t, 1, a.asked.Load())

	c.Request = sha256.Sum256([]byte("GET /other"))
	_, err = a.checkout.Call(t.Context(), c)
	require.ErrorIs(t, err, checkout.ErrAlreadyUsed)
}

func TestAHundredCallsWithOnePaymentAskOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	a.answers = func(context.Context) (checkout.Answer, error) {
		time.Sleep(300 * time.Millisecond)
		return checkout.Answer{Status: 200, Body: []byte("dry")}, nil
	}
	c := a.calling(t)
	var all sync.WaitGroup
	var answered atomic.Int32
	for range 100 {
		all.Go(func() {
			called, err := a.checkout.Call(context.Background(), c)
			if err == nil && string(called.Answer.Body) == "dry" {
				answered.Add(1)
			} else {
				t.Log(err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 100, answered.Load())
	require.EqualValues(t, 1, a.asked.Load())
	require.Equal(t, price, a.received(t))
}

func TestACallThatFailsCostsNothingAndMayBePaidAgain(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(ctx context.Context) (checkout.Answer, error){
		"answered with 500": func(context.Context) (checkout.Answer, error) {
			return checkout.Answer{Status: 500, Body: []byte("oh")}, nil
		},
		"answered with 404": func(context.Context) (checkout.Answer, error) { return checkout.Answer{Status: 404}, nil },
		"not answered":      func(context.Context) (checkout.Answer, error) { return checkout.Answer{}, checkout.ErrUpstream },
		"answered too late": func(ctx context.Context) (checkout.Answer, error) {
			<-ctx.Done()
			return checkout.Answer{}, checkout.ErrUpstreamSlow
		},
		"answered without end": func(context.Context) (checkout.Answer, error) { return checkout.Answer{}, checkout.ErrUpstreamLarge },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, plan{}, shop.EndpointForm{Timeout: time.Second})
			well := a.answers
			a.answers = fails
			c := a.calling(t)
			called, err := a.checkout.Call(t.Context(), c)
			require.Empty(t, called.Purchase.ID)
			if err == nil {
				require.GreaterOrEqual(t, called.Answer.Status, 400)
			}
			a.free(t)

			a.answers = well
			called, err = a.checkout.Call(t.Context(), c)
			require.NoError(t, err, "the same payment")
			a.soldOnce(t, called.Purchase)
			require.EqualValues(t, 2, a.asked.Load())
		})
	}
}

func TestAPayerWithoutMoneyIsRefusedBeforeTheCall(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	a.buyer = newKey()
	_, err := a.checkout.Call(t.Context(), a.calling(t))
	requireInvalid(t, x402.Funds, err)
	require.Zero(t, a.asked.Load())
	a.free(t)
}

func TestAPaymentForAnotherResourceIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	c := a.calling(t)
	c.Payment.ResourceURL = publicURL + "/x/" + string(a.endpoint.ID) + "/other"
	_, err := a.checkout.Call(t.Context(), c)
	requireInvalid(t, x402.NoMatch, err)
	require.Zero(t, a.asked.Load())
}

func TestACallThatDiesWithItsProcessIsLetGo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{Timeout: time.Second})
	c := a.calling(t)
	dead := make(chan struct{})
	a.answers = func(context.Context) (checkout.Answer, error) {
		<-dead // the process is gone before it heard of the answer
		return checkout.Answer{}, errors.New("dead")
	}
	go func() { _, _ = a.checkout.Call(context.Background(), c) }()
	require.Eventually(t, func() bool { return a.asked.Load() == 1 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, a.count(t, `SELECT count(*) FROM calls WHERE state = 'calling'`))
	a.clock.advance(time.Minute)
	a.exec(t, `UPDATE river_job SET scheduled_at = now() WHERE kind = 'release'`)
	require.Eventually(t, func() bool { return a.count(t, `SELECT count(*) FROM calls WHERE state = 'released'`) == 1 }, 20*time.Second, 20*time.Millisecond)
	a.free(t)
	a.answers = func(context.Context) (checkout.Answer, error) {
		return checkout.Answer{Status: 200, Body: []byte("dry")}, nil
	}
	called, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	close(dead)
	a.soldOnce(t, called.Purchase)
}

func TestACallWhoseMoneyIsAskedForIsNotSaidToBeLetGo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{wait: 200 * time.Millisecond}, shop.EndpointForm{})
	a.answers = func(context.Context) (checkout.Answer, error) {
		// As it is when the answer to a commit is lost: the money is asked for, and that is tried once more.
		a.exec(t, `UPDATE calls SET state = 'answered', status = 200, header = '{}', body = 'dry', kept = true`)
		return checkout.Answer{Status: 200, Body: []byte("dry")}, nil
	}
	called, err := a.checkout.Call(t.Context(), a.calling(t))
	require.ErrorIs(t, err, checkout.ErrPending)

	a.exec(t, `UPDATE calls SET state = 'calling', header = NULL, body = NULL, kept = false`)
	a.clock.advance(time.Minute)
	require.NoError(t, a.checkout.Release(t.Context(), called.Purchase.ID))
}

func TestACallThatIsPaidFirstIsAskedOnceItIsPaid(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{Settles: shop.SettlesFirst})
	c := a.calling(t)
	called, turn, err := a.checkout.CallFirst(t.Context(), c)
	require.NoError(t, err)
	require.NotNil(t, turn)
	a.soldOnce(t, called.Purchase)

	require.NoError(t, a.checkout.CallFailed(t.Context(), called.Purchase, *turn, 500))
	called, turn, err = a.checkout.CallFirst(t.Context(), c)
	require.NoError(t, err, "the same payment, once its seller's server has failed")
	require.NotNil(t, turn)

	var waited checkout.Called
	var all sync.WaitGroup
	all.Go(func() {
		var other *checkout.Turn
		waited, other, err = a.checkout.CallFirst(context.Background(), c)
		if other != nil {
			t.Error("two have the turn")
		}
	})
	time.Sleep(100 * time.Millisecond)
	answer := checkout.Answer{Status: 200, Header: http.Header{"X-Weather": {"dry"}}, Body: []byte("dry")}
	require.NoError(t, a.checkout.CallAnswered(t.Context(), called.Purchase, *turn, answer))
	all.Wait()
	require.NoError(t, err)
	require.Equal(t, answer, waited.Answer)
	a.soldOnce(t, called.Purchase)
}

func TestAPaymentOfASubscriptionOpensAPass(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{Pricing: shop.Subscription, Interval: shop.Day})
	called, err := a.checkout.Call(t.Context(), a.calling(t))
	require.NoError(t, err)
	require.NotNil(t, called.Pass)
	pass, err := a.checkout.UsePass(t.Context(), a.endpoint.ID, called.Pass.Token)
	require.NoError(t, err)
	require.WithinDuration(t, a.clock.now().Add(24*time.Hour), *pass.EndsAt, time.Minute)
	for _, wrong := range []string{"", "pss_", string(pass.ID), string(pass.ID) + ".x", called.Pass.Token + "x"} {
		_, err := a.checkout.UsePass(t.Context(), a.endpoint.ID, wrong)
		require.ErrorIs(t, err, checkout.ErrPass, wrong)
	}

	renewed, err := a.checkout.Call(t.Context(), a.calling(t))
	require.NoError(t, err)
	require.Equal(t, called.Pass.Token, renewed.Pass.Token)
	require.WithinDuration(t, pass.EndsAt.Add(24*time.Hour), *renewed.Pass.EndsAt, time.Second, "what is paid is added to what is left")
	a.clock.advance(47 * time.Hour)
	_, err = a.checkout.UsePass(t.Context(), a.endpoint.ID, called.Pass.Token)
	require.NoError(t, err)
	a.clock.advance(2 * time.Hour)
	_, err = a.checkout.UsePass(t.Context(), a.endpoint.ID, called.Pass.Token)
	require.ErrorIs(t, err, checkout.ErrPass, "its time is over")
	a.clock.advance(-49 * time.Hour)
	_, err = a.checkout.RevokePass(t.Context(), a.merchant, false, pass.ID, ada)
	require.NoError(t, err)
	_, err = a.checkout.UsePass(t.Context(), a.endpoint.ID, called.Pass.Token)
	require.ErrorIs(t, err, checkout.ErrPass)
	passes, err := a.checkout.Passes(t.Context(), a.merchant, false, a.endpoint.ID, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, passes, 1)
	require.Equal(t, 2, passes[0].Payments)
}

func TestAFormerPriceOfACallIsHonoured(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	c := a.calling(t)
	_, err := a.endpoints.Update(t.Context(), a.merchant, false, a.endpoint.ID, func(f *shop.EndpointForm) error {
		f.Price = 2 * price
		return nil
	}, ada)
	require.NoError(t, err)
	a.reload(t)
	c.Endpoint, c.Offer = a.endpoint, a.offer
	called, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	a.soldOnce(t, called.Purchase)
	require.Equal(t, price, called.Purchase.Amount)
}

func TestAFormerPriceBuysNoMoreThanItDid(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{})
	c := a.calling(t)
	for _, change := range []func(*shop.EndpointForm){
		func(f *shop.EndpointForm) { f.Price = 2 * price },
		func(f *shop.EndpointForm) { f.Price, f.Pricing = 100*price, shop.OneTime },
	} {
		_, err := a.endpoints.Update(t.Context(), a.merchant, false, a.endpoint.ID, func(f *shop.EndpointForm) error {
			change(f)
			return nil
		}, ada)
		require.NoError(t, err)
	}
	a.reload(t)
	c.Endpoint, c.Offer = a.endpoint, a.offer
	_, err := a.checkout.Call(t.Context(), c)
	requireInvalid(t, x402.NoMatch, err)
	require.Zero(t, a.asked.Load())
	require.Zero(t, a.count(t, `SELECT count(*) FROM passes`), "for ever, for the price of one call")
}

func TestAWalletsCallsUnderWayCostNoMoreThanItHolds(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{Timeout: 5 * time.Second})
	a.buyer = newKey()
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(a.buyer), price))
	answer := make(chan struct{})
	a.answers = func(ctx context.Context) (checkout.Answer, error) {
		select {
		case <-answer:
		case <-ctx.Done():
		}
		return checkout.Answer{Status: 200, Body: []byte("dry")}, ctx.Err()
	}
	first, failed := a.calling(t), make(chan error, 1)
	go func() {
		_, err := a.checkout.Call(context.Background(), first)
		failed <- err
	}()
	require.Eventually(t, func() bool { return a.asked.Load() == 1 }, 10*time.Second, 10*time.Millisecond)
	for range 3 {
		_, err := a.checkout.Call(t.Context(), a.calling(t))
		requireInvalid(t, x402.Funds, err)
	}
	require.EqualValues(t, 1, a.asked.Load(), "the seller's server works for what can be paid")
	close(answer)
	require.NoError(t, <-failed)
	require.Equal(t, price, a.received(t))

	require.NoError(t, world.dev().Mint(t.Context(), addressOf(a.buyer), price))
	_, err := a.checkout.Call(t.Context(), a.calling(t))
	require.NoError(t, err, "what is paid is owed no more")
}

func TestAnIdentifierKeepsAnAnswerFromWhoeverReadsTheChain(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{Pricing: shop.OneTime})
	c := a.calling(t)
	c.Identifier = "pay_0123456789abcdef"
	called, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	for _, guess := range []string{"", "pay_0123456789abcdeX"} {
		c.Identifier = guess
		again, err := a.checkout.Call(t.Context(), c)
		require.ErrorIs(t, err, checkout.ErrAlreadyUsed)
		require.Nil(t, again.Pass)
	}
	c.Identifier = "pay_0123456789abcdef"
	again, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, called.Pass.Token, again.Pass.Token)
}

func TestAnIdentifierBelongsToOnePayment(t *testing.T) {
	t.Parallel()
	a := newAPI(t, plan{}, shop.EndpointForm{Identified: true})
	c := a.calling(t)
	_, err := a.checkout.Call(t.Context(), c)
	require.ErrorIs(t, err, checkout.ErrUnidentified)
	c.Identifier = "pay_0123456789abcdef"
	called, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	again, err := a.checkout.Call(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, called.Purchase.ID, again.Purchase.ID)
	other := a.calling(t)
	other.Identifier = c.Identifier
	_, err = a.checkout.Call(t.Context(), other)
	require.ErrorIs(t, err, checkout.ErrIdentifier)
	a.soldOnce(t, called.Purchase)
}
