package io.github.gatedattention.train;

import io.github.gatedattention.cli.InputException;

/** A run: a model, its optimizer and where it stands. The same settings and text give the same bits. */
final class Trainer implements AutoCloseable {
    private static final int VALIDATION_BATCHES = 4;

    private final TrainingSettings settings;
    private final Corpus corpus;
    private final LanguageModel model;
    private final AdamW optimizer;
    private int step;

    /**
     * One step.
     *
     * @param step its number, from 1
     * @param loss of its batch before the step, in nats per token
     * @param gradient the norm of the gradient before it was clipped
     * @param learningRate of the step
     */
    record Progress(int step, double loss, double gradient, double learningRate) {
        boolean isFinite() {
            return Double.isFinite(loss) && Double.isFinite(gradient);
        }
    }

    Trainer(TrainingSettings settings, Corpus corpus) {
        corpus.require(settings.shape().context());
        this.settings = settings;
        this.corpus = corpus;
        try {
            model = new LanguageModel(settings.shape(), settings.batch(), settings.seed());
        } catch (OutOfMemoryError e) {
            throw new InputException("there is not enough memory for a model of this size: " + e.getMessage(), e);
        }
        optimizer = new AdamW(settings.weightDecay(), settings.clip());
    }

    TrainingSettings settings() {
        return settings;
    }

    Corpus corpus() {
        return corpus;
    }

    LanguageModel model() {
        return model;
    }

    /** How many steps were made. */
    int step() {
        return step;
    }

    /** Says that the model's parameters are those after so many steps. */
    void continueFrom(int steps) {
        step = steps;
    }

    /** Learns from one batch. When a number is not finite the parameters stay as they are. */
    Progress next() {
        step++;
        double learningRate = settings.learningRate(step);
        double loss = model.forward(corpus.training(settings, step));
        model.backward();
        double gradient = optimizer.norm(model.parameters());
        if (Double.isFinite(loss) && Double.isFinite(gradient)) {
            optimizer.update(model.parameters(), step, learningRate, gradient);
        }
        return new Progress(step, loss, gradient, learningRate);
    }

    /** The loss on text that the model does not learn from. */
    double validationLoss() {
        double sum = 0;
        for (int n = 0; n < VALIDATION_BATCHES; n++) {
            sum += model.forward(corpus.validation(settings, n, VALIDATION_BATCHES));
        }
        return sum / VALIDATION_BATCHES;
    }

    /** What the paper measures, on a batch that the model does not learn from. */
    ModelMeasures measure() {
        model.forward(corpus.validation(settings, 0, 1));
        return model.measure();
    }

    @Override
    public void close() {
        model.close();
    }
}
