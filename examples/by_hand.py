"""Three gradients that can be checked with pencil and paper.

* `g(x, y, z) = (x + y) z` at (3, 5, 2): the gradient is (z, z, x + y) = (2, 2, 8), and one step of
  gradient descent subtracts the learning rate times just that.
* The sigmoid neuron `1 / (1 + exp(-(w0 x0 + w1 x1 + w2)))`.
* `sin(5 exp(t1) + 2 cos(t2))` with both partial derivatives.

`python examples/by_hand.py` prints each value and gradient, computed by the generated C, beside
the number that the formula gives. `gradc inspect examples/by_hand.py:step --c` shows the C of a
step of gradient descent on the first one.
"""

import numpy as np

import gradc as gd
from gradc import optim


def g(x, y, z):
    """Two elementary operations: a sum and a product."""
    return (x + y) * z


def neuron(w0, w1, w2, x0, x1):
    """A neuron with two inputs, a bias `w2` and the logistic function."""
    return 1 / (1 + np.exp(-(w0 * x0 + w1 * x1 + w2)))


def wave(t1, t2):
    """A composition: the outer derivative is cos(5 exp(t1) + 2 cos(t2))."""
    return np.sin(5 * np.exp(t1) + 2 * np.cos(t2))


def gradient(function, *point):
    """The value of `function` at `point` and all its partial derivatives, from compiled C."""
    every = tuple(range(len(point)))
    specs = [gd.f64[()]] * len(point)
    compiled = gd.compile(gd.value_and_grad(function, argnums=every), *specs)
    value, partials = compiled(*(np.float64(p) for p in point))
    return float(value), tuple(float(p) for p in partials)


def step(lr=0.125):
    """Gradient descent on g itself: the parameters are x, y and z, and there is no data."""
    point = {"x": np.float32(3), "y": np.float32(5), "z": np.float32(2)}

    def loss(at):
        return g(at["x"], at["y"], at["z"])

    return gd.train_step(loss, point, optim.SGD(lr=lr), name="by_hand")


def show(name, computed, by_hand):
    """One line: the name, what the C computed and what the formula says."""
    value, partials = computed
    numbers = "  ".join(f"{p:>10.6f} ({h:.6f})" for p, h in zip(partials, by_hand, strict=True))
    print(f"{name:<8}{value:>10.6f}   gradient (by hand): {numbers}")


def main():
    """Print the three examples, then one step of gradient descent on the first."""
    show("g", gradient(g, 3, 5, 2), (2, 2, 3 + 5))

    weights, inputs = (2.0, -3.0, -3.0), (-1.0, -2.0)
    y = neuron(*weights, *inputs)
    slope = y * (1 - y)  # the derivative of the logistic function, from its own value
    parts = (slope * inputs[0], slope * inputs[1], slope, slope * weights[0], slope * weights[1])
    show("neuron", gradient(neuron, *weights, *inputs), parts)

    t1, t2 = 0.5, 2.0
    outer = np.cos(5 * np.exp(t1) + 2 * np.cos(t2))
    show("wave", gradient(wave, t1, t2), (outer * 5 * np.exp(t1), outer * -2 * np.sin(t2)))

    descend = step()
    value = descend()
    moved = {name: float(descend.params[name]) for name in ("x", "y", "z")}
    print(f"one step from (3, 5, 2) with learning rate 0.125: g was {value:.0f}, now at {moved}")


if __name__ == "__main__":
    main()
