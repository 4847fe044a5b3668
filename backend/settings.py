"""One typed settings object: environment variables with the prefix OVERRULE_, or a .env file."""

from __future__ import annotations

import getpass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What can be set from outside. Everything of the application lives under `home`."""

    model_config = SettingsConfigDict(env_prefix="OVERRULE_", env_file=".env", extra="ignore")

    home: Path = Field(
        default_factory=lambda: user_data_path("overrule"), description="Database, jobs, models, logs."
    )
    database_url: str | None = Field(None, description="PostgreSQL URL; without it SQLite under `home`.")
    base_model: str = Field("default", description="Folder or hub id of the base model.")
    model_cache: Path | None = Field(None, description="Where base models lie; `home`/models without it.")
    teacher_url: str = Field("https://api.openai.com/v1", description="Any OpenAI-compatible address.")
    teacher_model: str = Field("gpt-5-mini", description="The model's name at that address.")
    teacher_key: SecretStr | None = Field(None, description="The key, where the address wants one.")
    teacher_concurrency: int = Field(8, ge=1, le=256, description="Requests under way at once.")
    teacher_timeout: float = Field(60.0, gt=0, description="Seconds to wait for one answer.")
    teacher_retries: int = Field(5, ge=0, le=20, description="How often one request is tried again.")
    teacher_answer_tokens: int = Field(
        4096, ge=16, description="Most tokens of one answer, thinking included."
    )
    person: str = Field(default_factory=getpass.getuser, description="Who reviews, without sign-in.")
    lease_minutes: float = Field(15.0, gt=0, description="How long an item waits for the one who opened it.")
    launcher: Literal["local", "ray"] = Field("local", description="Where trainers run: here, or on Ray.")
    ray_address: str = Field("http://127.0.0.1:8265", description="Ray's job server.")
    ray_jobs: int = Field(1, ge=1, le=64, description="Trainers at once on Ray; it gives each its GPU.")
    port: int = Field(8501, ge=1, le=65535, description="Where the app listens on 127.0.0.1.")

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'overrule.db'}"
        # psycopg 3 is the driver that Overrule installs; a plain PostgreSQL URL would name psycopg2.
        for scheme in ("postgresql://", "postgres://"):
            if self.database_url.startswith(scheme):
                return "postgresql+psycopg://" + self.database_url.removeprefix(scheme)
        return self.database_url

    @property
    def models(self) -> Path:
        """The folder of base models."""
        return self.model_cache or self.home / "models"

    @property
    def jobs(self) -> Path:
        """The folder of job folders."""
        return self.home / "jobs"

    @property
    def queue(self) -> Path:
        """Huey's own SQLite file."""
        return self.home / "queue.db"


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
